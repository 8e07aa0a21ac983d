"""The house rules that a program can check: which way imports point, and that migrations make what models say."""

import ast
import re

import pytest

from tests.support.house import ROOT, arrows, imports, is_module, modules, packages, picture, sources

pytestmark = pytest.mark.any_database

# Which packages of ours a package may import, from the top of the house to the bottom. Packages on one line know
# nothing of each other. A module right below `portal` is a package of its own here.
FLOORS = (
    "jobs",
    "portal",  # create_app()
    "portal.views portal.cli",
    "portal.web",
    "portal.services.delivery",
    "portal.services.operations portal.services.senders",
    "portal.services.drivers",
    "portal.services.accounts",
    "portal.services.outbox",
    "portal.services.routing",
    "portal.services.emails portal.services.audit portal.services.limits portal.services.blocked",
    "portal.services.entitlements portal.services.sender_rules",
    "portal.services.outcome_log",
    "portal.services.errors portal.services.message_state",
    "portal.encryption portal.job_queue portal.db portal.log_format",
    "portal.redis_client portal.extensions",
    "portal.models portal.config",
    "portal.setting_types portal.origins",
    "portal.launch_keys portal.plan_file portal.provider_endpoints portal.secret_rules portal.transport",
    "portal.mailauth",
    "portal.providers",
    "portal.reasons portal.typed",
)
FLOOR = {package: number for number, packages in enumerate(FLOORS) for package in packages.split()}
# `python -m jobs.clock` and the worker begin with create_app(); nothing else looks up.
ONLY = {"portal.services.delivery": ("jobs", "portal.cli")}


def test_no_module_of_the_product_is_named_like_a_test() -> None:
    assert [name for name, _ in sources() if name.endswith(("_test", "_tests"))] == []


def test_every_package_has_its_floor() -> None:
    assert packages() == set(FLOOR)


def test_imports_point_down() -> None:
    upward = {(here, there) for here, there in arrows() if FLOOR[here] >= FLOOR[there]}
    assert upward == set()


def test_only_jobs_and_commands_send_mail() -> None:
    for there, allowed in ONLY.items():
        assert {here for here, other in arrows() if other == there} <= set(allowed)


def test_neither_the_wire_nor_what_is_known_of_providers_knows_the_web_or_the_database() -> None:
    banned = {"flask", "sqlalchemy", "flask_sqlalchemy", "flask_babel", "redis", "rq", "wtforms"}
    for path in [
        *modules("portal/transport"),
        *modules("portal/mailauth"),
        *modules("portal/providers"),
        *modules("portal/reasons"),
    ]:
        assert not {name.split(".")[0] for name in imports(path)} & banned, path


def test_views_speak_neither_smtp_nor_sql_nor_redis() -> None:
    banned = {
        "smtplib",
        "sqlalchemy",
        "redis",
        "rq",
        "portal.extensions",
        "portal.transport.smtp.connection",
        "portal.transport.mime.build",
    }
    for path in modules("portal/views"):
        assert not imports(path) & banned, path


def test_there_is_one_way_to_say_not_found() -> None:
    """A service's `get` raises NotFound, which portal.views.errors makes a 404; its `find` may return None."""
    for path in modules("portal/services"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.split("_")[0] == "get" and node.returns:
                assert "None" not in ast.unparse(node.returns), f"{path}: {node.name}"
    by_hand = [
        path.name
        for path in modules("portal/views")
        if re.search(r"abort\(404|PageError\(\s*404", path.read_text()) and path.name != "errors.py"
    ]
    assert by_hand == []


def test_there_is_one_way_to_make_a_form() -> None:
    made = [path.name for path in modules("portal") if re.search(r"import .*\bFlaskForm\b", path.read_text())]
    assert made == ["forms.py"], "a class of portal.views.forms.Form"


def test_one_module_reads_this_machines_clock_and_all_others_the_databases() -> None:
    """portal.models.utcnow tells it; what is measured within one process goes by time.monotonic."""
    reads = {
        path.relative_to(ROOT).as_posix()
        for folder in ("portal", "jobs")
        for path in modules(folder)
        if re.search(r"\btime\.time\(|\.utcnow\(|date(time)?\.(now|today)\(", path.read_text())
    }
    # Redis says how many seconds are left; the library adds them to this clock, and rate_limits takes it off again.
    assert reads == {"portal/models/base.py", "portal/db/clock.py", "portal/web/rate_limits.py"}


def test_transactions_end_in_one_place() -> None:
    ending = {
        path.relative_to(ROOT).as_posix()
        for folder in ("portal", "jobs")
        for path in modules(folder)
        if ".session.commit()" in path.read_text()
    }
    assert ending == set(), "with transaction(), or with read()"


def test_modules_are_short_but_for_tables_of_data() -> None:
    tables = {"portal/transport/smtp/reply_rules.py"}
    long = [
        f"{path.relative_to(ROOT)}: {lines}"
        for folder in ("portal", "jobs", "demo")
        for path in modules(folder)
        if "migrations" not in path.parts and (lines := len(path.read_text().splitlines())) > 300
    ]
    assert [one for one in long if one.partition(":")[0] not in tables] == []


def test_a_function_has_at_most_six_parameters() -> None:
    """Beyond `self`; what needs more takes a value that has a name, such as portal.transport.mime.build.Stamp."""
    many = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for folder in ("portal", "jobs")
        for path in modules(folder)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and len(_parameters(node.args)) > 6
    ]
    assert many == []


def _parameters(given: ast.arguments) -> list[str]:
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    return [one.arg for one in named if one and one.arg not in ("self", "cls")]


def test_every_module_says_what_it_is_for() -> None:
    for folder in ("portal", "jobs", "demo", "tests"):
        for path in modules(folder):
            if path.read_text().strip():
                assert ast.get_docstring(ast.parse(path.read_text())), path


def test_services_and_their_tests_mirror_each_other() -> None:
    """`a/b.py` has its tests in `a/test_b.py` or in a folder `a/b/`; a file of definitions alone needs none."""
    works = {
        path.relative_to(ROOT / "portal").with_suffix("").as_posix()
        for path in modules("portal/services")
        if any(isinstance(node, ast.FunctionDef) for node in ast.parse(path.read_text()).body)
    }
    tested = {
        path.with_name(path.stem.removeprefix("test_")).relative_to(ROOT / "tests").as_posix()
        for path in modules("tests/services")
        if path.stem.startswith("test_")
    }
    known = {
        name for name in tested if name.rpartition("/")[0] in works or is_module(f"portal.{name.replace('/', '.')}")
    }
    assert tested - known == set()
    assert {name for name in works - tested if not (ROOT / "tests" / name).is_dir()} == set()


def test_no_test_reaches_into_a_library() -> None:
    """What a library calls private may be gone with its next version. Ours: names that a module of ours gives."""
    for path in modules("tests"):
        tree = ast.parse(path.read_text())
        foreign = {
            (alias.asname or alias.name).split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for alias in node.names
            if (getattr(node, "module", None) or alias.name).split(".")[0] not in ("portal", "jobs", "demo", "tests")
        }
        reached = [
            f"{path.name}:{node.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__")
            and isinstance(node.value, ast.Name) and node.value.id in foreign - {"os"}
        ]  # fmt: skip
        assert reached == []


def test_the_picture_shows_the_imports_as_they_are() -> None:
    shown = (ROOT / "docs/architecture.md").read_text()
    assert picture() in shown, "run: .venv/bin/python -m tests.support.house"
