"""How templates are compiled."""

from flask import Flask


def test_texts_and_signs_stand_in_what_jinja_compiles(app: Flask) -> None:
    """Without jinja2.compiler.CodeGenerator.visit_Template pages would only get slower (docs/benchmarks.md)."""
    for language, text in (("en", "Sender"), ("de", "Absender")):
        with app.test_request_context(headers={"Accept-Language": language}):
            environment = app.jinja_env.get_template("log/_line.html").environment
        compiled = environment.compile('{{ _("Sender") }}{{ icon("open") }}', raw=True)
        assert f"'{text}<svg " in compiled.replace('\\"', '"') and "context.call" not in compiled
