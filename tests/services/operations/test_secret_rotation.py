"""Every stored secret is encrypted again with the first key."""

from typing import Any

from cryptography.fernet import Fernet
from flask import Flask
from sqlalchemy import Column, Integer, Table

from portal import create_app, encryption
from portal.db.transaction import transaction
from portal.extensions import db
from portal.models import Base
from portal.models.base import EncryptedText
from portal.services.operations import secret_rotation


def test_after_a_rotation_the_old_key_can_go(ctx: Flask, options: dict[str, Any]) -> None:
    table = Table(
        "vault_test", Base.metadata, Column("id", Integer, primary_key=True), Column("secret", EncryptedText())
    )
    try:
        table.create(db.engine)
        with transaction() as session:
            session.execute(table.insert(), [{"secret": encryption.encrypt(f"secret {n}")} for n in range(450)])
            session.execute(table.insert().values(secret=None))
        new_key = Fernet.generate_key().decode()
        with create_app(**options | {"encryption_keys": [new_key, *options["encryption_keys"]]}).app_context():
            assert secret_rotation.rotate() == 450
        with create_app(**options | {"encryption_keys": [new_key]}).app_context():
            stored = db.session.scalars(table.select().with_only_columns(table.c.secret).order_by(table.c.id)).all()
            assert [encryption.decrypt(token) for token in stored if token] == [f"secret {n}" for n in range(450)]
    finally:
        db.session.rollback()
        table.drop(db.engine)
        Base.metadata.remove(table)
