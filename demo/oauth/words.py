"""The words of the sign-in pages, in English and German."""

from __future__ import annotations

from flask import request

LANGUAGES = ("en", "de")

_EN = {
    "lang": "en",
    "demo": "This page plays {name} for the demo of Absender. Nothing here reaches {name}.",
    "sign_in": "Sign in with {name}",
    "choose": "Choose an account",
    "to_continue": "to continue to Absender",
    "asks_google": "Absender wants to access your Google Account",
    "asks_microsoft": "Permissions requested",
    "this_allows": "This will allow Absender to:",
    "allow_google": "Continue",
    "allow_microsoft": "Accept",
    "cancel": "Cancel",
    "admin_title": "Need admin approval",
    "admin_text": "Absender needs permission to access resources in your organization that only an admin can grant. "
    "Please ask an admin to grant permission to this app before you can use it.",
    "admin_back": "Return to the application without granting consent",
    "admin_ask": "Permissions requested: accept for your organization",
    "admin_grants": "If you accept, this app will get access for all users in your organization.",
    "error": "Access blocked: this sign-in can't go on",
    "error_microsoft": "Sorry, but we're having trouble signing you in.",
}
_DE = {
    "lang": "de",
    "demo": "Diese Seite spielt {name} für die Demo von Absender. Nichts hiervon erreicht {name}.",
    "sign_in": "Bei {name} anmelden",
    "choose": "Konto auswählen",
    "to_continue": "weiter zu Absender",
    "asks_google": "Absender möchte auf Ihr Google-Konto zugreifen",
    "asks_microsoft": "Angeforderte Berechtigungen",
    "this_allows": "Absender erhält damit die Berechtigung:",
    "allow_google": "Weiter",
    "allow_microsoft": "Akzeptieren",
    "cancel": "Abbrechen",
    "admin_title": "Administratorgenehmigung erforderlich",
    "admin_text": "Absender benötigt eine Berechtigung für den Zugriff auf Ressourcen in Ihrer Organisation, die nur "
    "ein Administrator erteilen kann. Bitten Sie einen Administrator, diese Berechtigung zu erteilen, bevor Sie die "
    "App verwenden.",
    "admin_back": "Ohne Zustimmung zur Anwendung zurückkehren",
    "admin_ask": "Angeforderte Berechtigungen: im Namen Ihrer Organisation akzeptieren",
    "admin_grants": "Wenn Sie akzeptieren, erhält diese App Zugriff für alle Benutzer in Ihrer Organisation.",
    "error": "Zugriff blockiert: Diese Anmeldung kann nicht fortgesetzt werden",
    "error_microsoft": "Leider gibt es ein Problem bei der Anmeldung.",
}


def language() -> str:
    """What the app asked for (Google's `hl`, Microsoft's `mkt`, OpenID's `ui_locales`), else the browser's."""
    for name in ("hl", "mkt", "ui_locales"):
        if (wanted := request.args.get(name, "")[:2].lower()) in LANGUAGES:
            return wanted
    return request.accept_languages.best_match(LANGUAGES) or "en"


def words(name: str) -> dict[str, str]:
    """The page's words for the provider of this name."""
    found = _DE if language() == "de" else _EN
    return {key: text.replace("{name}", name) for key, text in found.items()}
