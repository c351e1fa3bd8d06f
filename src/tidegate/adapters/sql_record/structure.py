"""What a database is made of, held against what the migrations make: `structure.json` has it for both databases.

Part by part and whatever their order, never as one text: a ledger that came up through older versions, or another
release of the libraries that write its tables, spells and orders the same parts otherwise. After a new migration,
with an empty PostgreSQL database:

    python -m tidegate.adapters.sql_record.structure sqlite:// postgresql://… > src/…/sql_record/structure.json
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import sqlalchemy as sa

from tidegate.adapters.sql_record.engine import connect, migrate

#: Per relation and part of it (``""`` for itself; ``column …``, ``index …``, ``trigger …``) how it is defined.
Structure = Mapping[str, Mapping[str, str]]

RECORD = Path(__file__).with_name("structure.json")
#: How much of a definition is repeated to whoever reads a fault.
_SHOWN = 200

#: SQLite's planner keeps its own figures in ``sqlite_stat…``: whoever runs ANALYZE alters nothing. An index
#: without words is a constraint's, and told with that.
_SQLITE = """
    SELECT type, name, tbl_name, sql FROM sqlite_master
    WHERE name NOT LIKE 'sqlite\\_stat%' ESCAPE '\\' AND sql IS NOT NULL
"""
#: Literals and quoted names whole; comments, which say nothing to a database; words; any other character.
_TOKEN = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | `[^`]*` | \[[^\]]*\] | --[^\n]* | /\*.*?\*/ | \w+ | \S""",
    re.VERBOSE | re.DOTALL,
)
_CONSTRAINTS = {"CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"}

#: What extensions brought is theirs; NOT NULL is told with its column (newer servers tell it as a constraint too).
#: All that can stand between a query and the rows it should see is here: inheritance, rules, row security.
_POSTGRESQL = """
    WITH here AS (SELECT oid, quote_ident(nspname) || '.' AS prefix FROM pg_namespace WHERE nspname = current_schema()),
    theirs AS (SELECT classid, objid FROM pg_depend WHERE deptype = 'e'),
    relations AS (
        SELECT c.* FROM pg_class c JOIN here ON c.relnamespace = here.oid
        WHERE c.relkind NOT IN ('i', 'I', 't')
        AND (c.tableoid, c.oid) NOT IN (SELECT classid, objid FROM theirs)
    ),
    parts AS (
        SELECT relname AS owner, '' AS part,
            CASE relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view ' || pg_get_viewdef(oid, true)
            WHEN 'm' THEN 'materialized view' WHEN 'p' THEN 'partitioned table' WHEN 'f' THEN 'foreign table'
            WHEN 'S' THEN 'sequence' ELSE 'relation of kind ' || relkind::text END
            || CASE relpersistence WHEN 'p' THEN '' ELSE ' UNLOGGED' END
            || CASE WHEN relrowsecurity THEN ' ROW LEVEL SECURITY' ELSE '' END
            || CASE WHEN relforcerowsecurity THEN ' FORCE ROW LEVEL SECURITY' ELSE '' END
            || coalesce((SELECT ' INHERITED BY ' || string_agg(inhrelid::regclass::text, ', ' ORDER BY inhrelid)
                FROM pg_inherits WHERE inhparent = relations.oid), '') AS definition
        FROM relations
        UNION ALL SELECT relname, 'column ' || attname,
            format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END
            || CASE WHEN attcollation <> typcollation THEN ' COLLATE ' || attcollation::regcollation::text ELSE '' END
            || CASE WHEN attidentity <> '' THEN ' IDENTITY ' || attidentity::text ELSE '' END
            || CASE WHEN attgenerated <> '' THEN ' GENERATED ' || attgenerated::text ELSE '' END
            || coalesce(' DEFAULT ' || pg_get_expr(adbin, adrelid), '')
        FROM relations JOIN pg_attribute ON attrelid = relations.oid JOIN pg_type ON pg_type.oid = atttypid
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE attnum > 0 AND NOT attisdropped
        UNION ALL SELECT relname, 'constraint ' || conname, pg_get_constraintdef(pg_constraint.oid, true)
        FROM relations JOIN pg_constraint ON conrelid = relations.oid WHERE contype NOT IN ('n', 't')
        UNION ALL SELECT relations.relname, 'index ' || named.relname,
            pg_get_indexdef(indexrelid) || CASE WHEN indisvalid AND indisready THEN '' ELSE ' INVALID' END
        FROM relations JOIN pg_index ON indrelid = relations.oid JOIN pg_class named ON named.oid = indexrelid
        WHERE indexrelid NOT IN (SELECT conindid FROM pg_constraint WHERE contype IN ('p', 'u', 'x'))
        UNION ALL SELECT relname, 'trigger ' || tgname, pg_get_triggerdef(pg_trigger.oid) || CASE tgenabled
            WHEN 'O' THEN '' WHEN 'D' THEN ' DISABLED' WHEN 'R' THEN ' ON REPLICA' ELSE ' ALWAYS' END
        FROM relations JOIN pg_trigger ON tgrelid = relations.oid WHERE NOT tgisinternal
        UNION ALL SELECT relname, 'rule ' || rulename, pg_get_ruledef(pg_rewrite.oid)
        FROM relations JOIN pg_rewrite ON ev_class = relations.oid WHERE rulename <> '_RETURN'
        UNION ALL SELECT relname, 'row security ' || polname,
            polcmd::text || ' ' || coalesce(pg_get_expr(polqual, polrelid), '')
        FROM relations JOIN pg_policy ON polrelid = relations.oid
        UNION ALL SELECT '', 'function ' || proname || '(' || pg_get_function_identity_arguments(pg_proc.oid) || ')',
            CASE prokind WHEN 'a' THEN 'aggregate' ELSE pg_get_functiondef(pg_proc.oid) END
        FROM pg_proc JOIN here ON pronamespace = here.oid
        WHERE (pg_proc.tableoid, pg_proc.oid) NOT IN (SELECT classid, objid FROM theirs)
    )
    SELECT owner, part, replace(definition, prefix, '') FROM parts, here
"""


def structure_faults(stored: sa.Connection) -> Iterator[str]:
    """Yield one sentence per part that is gone, altered, or made by no migration."""
    right, found = recorded(stored.dialect.name), structure(stored)
    for owner in sorted(right.keys() | found.keys()):
        yield from _faults(owner, right.get(owner, {}), found.get(owner, {}))


def recorded(database: str) -> Structure:
    """Return what the migrations make of an empty database: ``sqlite`` or ``postgresql``."""
    described: Mapping[str, Structure] = json.loads(RECORD.read_text(encoding="utf-8"))
    return described[database]


def structure(connection: sa.Connection) -> Structure:
    """Return what a database is made of now."""
    if connection.dialect.name == "sqlite":
        parts = _sqlite_parts(connection.execute(sa.text(_SQLITE)).all())
    else:
        parts = ((row[0], row[1], row[2]) for row in connection.execute(sa.text(_POSTGRESQL)))
    made: dict[str, dict[str, str]] = {}
    for owner, part, definition in parts:
        made.setdefault(owner, {})[part] = definition
    return made


def _faults(owner: str, right: Mapping[str, str], found: Mapping[str, str]) -> Iterator[str]:
    for part in sorted(right.keys() | found.keys()):
        expected, got = right.get(part), found.get(part)
        if got == expected or (part.startswith(("column ", "constraint ")) and not _same_kind(right, found)):
            continue  # of what is no such table, or gone, the columns are not worth a word
        kind, _, name = (part or f"{_kind(right) or _kind(found)} {owner}").partition(" ")
        label = f"{kind} {owner}.{name}" if part and owner else f"{kind} {name}"
        if got is None:
            yield f"{label}: it is gone" + (f", expected {_shown(expected)}" if part else "")
        elif expected is None:
            yield f"{label}: no migration made it, got {_shown(got)}"
        else:
            yield f"{label}: it was altered, got {_shown(got)}, expected {_shown(expected)}"


def _kind(parts: Mapping[str, str]) -> str:
    """Return what a relation is, by the first word of its definition; empty where there is none."""
    return parts.get("", "").partition(" ")[0]


def _same_kind(right: Mapping[str, str], found: Mapping[str, str]) -> bool:
    return _kind(right) == _kind(found)


def _shown(definition: str | None) -> str:
    told = " ".join((definition or "").split())
    return f"`{told}`" if len(told) <= _SHOWN else f"`{told[:_SHOWN]}…`"


def _sqlite_parts(
    objects: Iterable[sa.Row[tuple[str, str, str, str]]],
) -> Iterator[tuple[str, str, str]]:
    for kind, name, owner, sql in objects:
        tokens = _tokens(sql)
        if kind == "table" and tokens[:2] == ["CREATE", "TABLE"]:
            columns, rest = _listed(tokens)
            yield owner, "", " ".join(["table", *rest])
            for part in columns:
                yield owner, *_column_or_constraint(part)
        elif kind in {"table", "view"}:  # a table of another make is told whole, as a view is
            yield owner, "", f"{'view' if kind == 'view' else 'virtual'} {_joined(tokens)}"
        else:
            yield owner, f"{kind} {name}", _joined(tokens)


def _column_or_constraint(tokens: Sequence[str]) -> tuple[str, str]:
    """Return a part's name and definition; a constraint without a name of its own is called by what it says."""
    if tokens[0].upper() not in _CONSTRAINTS:
        return f"column {tokens[0]}", _joined(tokens[1:])
    if tokens[0].upper() == "CONSTRAINT":
        return f"constraint {tokens[1]}", _joined(tokens[2:])
    return f"constraint {_joined(tokens)}", _joined(tokens)


def _tokens(sql: str) -> list[str]:
    found = (each for each in _TOKEN.findall(sql) if not each.startswith(("--", "/*")))
    return [_unquoted(each) for each in found]


def _unquoted(token: str) -> str:
    """Return a name without the quotes that it does not need: whoever rewrote the table put them there, or not."""
    name = token[1:-1]
    return name if token[0] in '"`[' and re.fullmatch(r"\w+", name) else token


def _listed(tokens: Sequence[str]) -> tuple[list[list[str]], list[str]]:
    """Return the parts between a statement's outer brackets, and what stands behind these."""
    parts: list[list[str]] = [[]]
    depth = 0
    for at, each in enumerate(tokens):
        depth += {"(": 1, ")": -1}.get(each, 0)
        if each == ")" and not depth:
            return [part for part in parts if part], [*tokens[at + 1 :]]
        if depth == 1 and each == ",":
            parts.append([])
        elif depth > 1 or (depth == 1 and each != "("):
            parts[-1].append(each)
    return parts, []


def _joined(tokens: Sequence[str]) -> str:
    """Spell tokens as one writes them."""
    spaced = (
        word if word in {")", ",", ";", "."} or before in {"(", "."} else f" {word}"
        for before, word in pairwise(tokens)
    )
    return "".join([*tokens[:1], *spaced])


def _record(addresses: Sequence[str]) -> str:
    """Migrate empty databases and describe them."""
    described: dict[str, Structure] = {}
    for address in addresses:
        engine = connect(address)
        migrate(engine)
        with engine.connect() as connection:
            described[engine.dialect.name] = structure(connection)
        engine.dispose()
    return json.dumps(described, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(_record(sys.argv[1:]))
