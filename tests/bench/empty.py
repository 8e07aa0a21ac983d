"""An application with one view that does nothing: what a request costs before the product has a part in it."""

from flask import Flask

app = Flask(__name__)


@app.get("/")
def get_nothing() -> str:
    return ""
