"""Write the next migration of a store: `python etc/dev/migration.py clc 0002 hosts "Instances know their host"`.

What it writes is the difference between the schema that the migrations lead to (on an empty SQLite database) and the
metadata, in terms that mean the same on both engines. Read it, put in what a program cannot know (how rows are carried
over), and name its revision as HEAD in the store's `migrating.py`. `0001 first "The first schema"` is written from nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import re
import sys
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.migration import MigrationContext
from alembic.operations.ops import ModifyTableOps
from sqlalchemy.engine import Connection

from eucapy import migrating
from eucapy.database import open_database
from eucapy.run import run_now

FIRST = "0001"
HEADER = '''"""{about}."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = {before}
branch_labels = None
depends_on = None


def upgrade() -> None:
'''


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("store", choices=("clc", "walrus"))
    parser.add_argument("revision", help="four digits")
    parser.add_argument("name", help="one word for the file's name")
    parser.add_argument("about", help="what changes, without a full stop")
    options = parser.parse_args()
    if not re.fullmatch(r"[0-9]{4}", options.revision):
        parser.error("a revision is four digits")
    package = f"eucapy.{options.store}.store"
    head = importlib.import_module(f"{package}.migrating").HEAD
    before = None if options.revision == FIRST else head
    folder = Path(importlib.import_module(f"{package}.migrations").__file__ or "").parent / "versions"
    body = asyncio.run(_body(package, before))
    for held in folder.glob(f"{options.revision}_*.py"):
        held.unlink()
    path = folder / f"{options.revision}_{options.name}.py"
    header = HEADER.format(about=options.about, revision=options.revision, before=f'"{before}"' if before else None)
    path.write_text(header + body + "\n")
    run_now(sys.executable, "-m", "ruff", "format", "-q", str(path))
    print(path)
    return 0


async def _body(package: str, before: str | None) -> str:
    database = open_database("sqlite://")
    try:
        if before is not None:
            await migrating.upgrade(database, f"{package}:migrations", before)
        metadata = importlib.import_module(f"{package}.schema").metadata
        return await database.with_connection(lambda connection: _difference(connection, metadata, before is not None))
    finally:
        await database.close()


def _difference(connection: Connection, metadata: sa.MetaData, batch: bool) -> str:
    """`batch`: SQLite changes a table by making it anew, which creating one does not need."""
    context = MigrationContext.configure(connection, opts={"compare_server_default": True})
    script = produce_migrations(context, metadata)
    assert script.upgrade_ops is not None
    script.upgrade_ops.ops = [step for step in script.upgrade_ops.ops if _changes_something(step)]
    code: str = render_python_code(
        script.upgrade_ops, render_as_batch=batch, render_item=_neutral, migration_context=context
    )
    code = code.replace(", unique=False", "")
    lines = [line for line in code.splitlines() if line.strip() and not line.strip().startswith("# ###")]
    return "\n".join("    " + line for line in lines)


def _changes_something(step: Any) -> bool:
    """Alembic takes a default of no text for no default, and would set it again for ever."""
    if not isinstance(step, ModifyTableOps):
        return True
    step.ops = [one for one in step.ops if getattr(getattr(one, "modify_server_default", None), "arg", None) != ""]
    return bool(step.ops)


def _neutral(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Our own types as what they are in the database, and truth as a word that both engines know."""
    if kind == "type" and isinstance(item, sa.types.TypeDecorator):
        return f"sa.{type(item.impl_instance).__name__}()"
    if kind == "server_default" and isinstance(getattr(item, "arg", None), sa.True_ | sa.False_):
        return "sa.true()" if isinstance(item.arg, sa.True_) else "sa.false()"
    return False


if __name__ == "__main__":
    sys.exit(main())
