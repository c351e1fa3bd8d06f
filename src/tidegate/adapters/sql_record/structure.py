"""What the database itself promises: tables, keys, uniqueness and triggers, held against what the code made.

Whoever may alter the schema can take a promise away and leave its name: a trigger that does nothing, an index that is
not unique any more, a view where a table was. So everything is described in words, found and expected, and compared.
Foreign tables beside ours are nobody's business; what hangs on one of ours is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import sqlalchemy as sa

from tidegate.adapters.sql_record import tables

#: What each trigger on PostgreSQL's events is, and what its function does.
_REFUSES = "BEGIN RAISE EXCEPTION 'the ledger is append-only'; END"
_POSTGRES_GUARDS = {
    "trigger events_refuse_change on events": (
        f"BEFORE DELETE OR UPDATE ON events FOR EACH ROW EXECUTE FUNCTION events_refuse() as {_REFUSES}"
    ),
    "trigger events_refuse_truncate on events": (
        f"BEFORE TRUNCATE ON events FOR EACH STATEMENT EXECUTE FUNCTION events_refuse() as {_REFUSES}"
    ),
}
_KINDS = {"r": "a table", "p": "a partitioned table", "v": "a view", "m": "a view", "f": "a foreign table"}

Described = Mapping[str, str]


def structure_faults(stored: sa.Connection) -> Iterator[str]:
    """Yield one sentence per promise of the schema that is gone, altered, or nobody's of ours."""
    sqlite = stored.dialect.name == "sqlite"
    found = _on_sqlite(stored) if sqlite else _on_postgres(stored)
    expected = {**_expected(stored.dialect), **(_sqlite_guards() if sqlite else _POSTGRES_GUARDS)}
    for name in sorted(found.keys() | expected.keys()):
        if name not in found:
            yield f"structure: the {name} is gone"
        elif name not in expected:
            yield f"structure: the {name} is nothing that Tidegate made: {found[name]}"
        elif found[name] != expected[name]:
            yield f"structure: the {name} was altered: got {found[name]!r}, expected {expected[name]!r}"


def _expected(dialect: sa.Dialect) -> Described:
    """Describe the tables as the code has them."""
    said: dict[str, str] = {}
    for table in tables.metadata.tables.values():
        said[f"table {table.name}"] = "a table"
        for column in table.columns:
            kind = str(column.type.compile(dialect)).lower()
            said[f"column {table.name}.{column.name}"] = _column(kind, required=not column.nullable)
        said[f"key of {table.name}"] = ", ".join(column.name for column in table.primary_key)
        for rule in table.constraints:
            if isinstance(rule, sa.UniqueConstraint):
                said[_unique(table.name, [column.name for column in rule.columns])] = "unique"
            if isinstance(rule, sa.CheckConstraint):
                said[f"check on {table.name}"] = _plain(str(rule.sqltext))
        for index in table.indexes:
            where = index.dialect_options["sqlite"]["where"]
            condition = "" if where is None else str(where)
            columns = [column.name for column in index.columns]
            said[f"index {index.name} on {table.name}"] = _index(
                columns, condition, unique=bool(index.unique)
            )
    return said


def _sqlite_guards() -> Described:
    from tidegate.adapters.sql_record.migrations.versions.v0001_first import GUARDS

    named = {re.findall(r"TRIGGER (\w+)", text)[0]: text for text in GUARDS["sqlite"]}
    return {f"trigger {name} on events": _plain(text) for name, text in named.items()}


def _on_sqlite(stored: sa.Connection) -> Described:
    ours, said = set(tables.metadata.tables), dict[str, str]()
    master = sa.text("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master")
    texts = {(kind, name): text for kind, name, _, text in stored.execute(master)}
    for kind, name, table, text in stored.execute(master):
        if kind == "trigger":
            said[f"trigger {name} on {table}"] = _plain(text)
        elif name in ours:
            said[f"table {name}"] = "a table" if kind == "table" else "a view"
    for table in sorted(name for name in ours if ("table", name) in texts):
        keys: list[tuple[int, str]] = []
        for _, column, kind, required, default, key, hidden in _pragma(stored, "table_xinfo", table):
            told = _column(str(kind).lower(), required=bool(required))
            told += f" default {default}" if default is not None else ""
            said[f"column {table}.{column}"] = told + (" generated" if hidden else "")
            keys += [(key, column)] if key else []
        said[f"key of {table}"] = ", ".join(column for _, column in sorted(keys))
        for check in re.findall(r"CHECK \((.*)\)", texts["table", table]):
            said[f"check on {table}"] = _plain(check)
        for _, index, unique, origin, *_ in _pragma(stored, "index_list", table):
            columns = [str(column) for _, _, column in _pragma(stored, "index_info", index)]
            if origin == "u":
                said[_unique(table, columns)] = "unique"
            elif origin == "c":
                where = texts["index", index].partition(" WHERE ")[2]
                said[f"index {index} on {table}"] = _index(columns, where, unique=bool(unique))
    return said


def _pragma(stored: sa.Connection, name: str, about: str) -> list[sa.Row[tuple[object, ...]]]:
    asked = sa.text(f"SELECT * FROM pragma_{name}(:about)")  # noqa: S608  # the name is one of three above
    return list(stored.execute(asked, {"about": about}))


def _on_postgres(stored: sa.Connection) -> Described:
    ours, said = {"ours": sorted(tables.metadata.tables)}, dict[str, str]()
    for table, kind, secured in stored.execute(_POSTGRES_TABLES, ours):
        said[f"table {table}"] = _KINDS.get(kind, kind) + (" with row security" if secured else "")
    for table, column, kind, required, default in stored.execute(_POSTGRES_COLUMNS, ours):
        told = _column(kind, required=required)
        said[f"column {table}.{column}"] = told + (f" default {default}" if default is not None else "")
    for table, kind, columns, condition in stored.execute(_POSTGRES_CONSTRAINTS, ours):
        if kind == "p":
            said[f"key of {table}"] = ", ".join(columns)
        elif kind == "u":
            said[_unique(table, columns)] = "unique"
        else:
            said[f"check on {table}"] = _plain(condition or kind)
    for table, index, unique, valid, columns, where in stored.execute(_POSTGRES_INDEXES, ours):
        told = _index(columns, where or "", unique=unique)
        said[f"index {index} on {table}"] = told if valid else f"{told}, not in use"
    for table, trigger, enabled, definition, source in stored.execute(_POSTGRES_TRIGGERS, ours):
        text = _plain(re.sub(r"^CREATE (CONSTRAINT )?TRIGGER \S+ | ON \w+\.", _kept, definition))
        off = "" if enabled in {"O", "A"} else "switched off: "
        said[f"trigger {trigger} on {table}"] = f"{off}{text} as {_plain(source)}"
    for table, rule in stored.execute(_POSTGRES_RULES, ours):
        said[f"rule {rule} on {table}"] = "a rule"
    return said


def _kept(found: re.Match[str]) -> str:
    return " ON " if found[0].startswith(" ON") else ""


def _column(kind: str, *, required: bool) -> str:
    return f"{kind} not null" if required else kind


def _unique(table: str, columns: list[str]) -> str:
    return f"uniqueness of {table} by {', '.join(columns)}"


def _index(columns: list[str], where: str, *, unique: bool) -> str:
    return f"{'unique ' if unique else ''}by {', '.join(columns)}" + (
        f" where {_plain(where)}" if where else ""
    )


def _plain(text: str) -> str:
    """Return a piece of SQL without what a database adds when it tells it again."""
    words = " ".join(text.replace("::text", "").split())
    return words[1:-1] if words.startswith("(") and words.endswith(")") else words


_POSTGRES_TABLES = sa.text("""
    SELECT c.relname, c.relkind::text, c.relrowsecurity FROM pg_class c
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = ANY(:ours)
""")
_POSTGRES_COLUMNS = sa.text("""
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
           pg_get_expr(d.adbin, d.adrelid)
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = ANY(:ours)
""")
_POSTGRES_CONSTRAINTS = sa.text("""
    SELECT c.relname, r.contype::text, ARRAY(
        SELECT a.attname::text FROM unnest(r.conkey) WITH ORDINALITY k (number, place)
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number ORDER BY k.place
    ), pg_get_expr(r.conbin, r.conrelid)
    FROM pg_class c JOIN pg_constraint r ON r.conrelid = c.oid AND r.contype <> 'n'
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = ANY(:ours)
""")
_POSTGRES_INDEXES = sa.text("""
    SELECT c.relname, i.relname, x.indisunique, x.indisvalid AND x.indisready, ARRAY(
        SELECT coalesce(a.attname::text, 'an expression') FROM unnest(x.indkey) WITH ORDINALITY k (number, place)
        LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number ORDER BY k.place
    ), pg_get_expr(x.indpred, x.indrelid)
    FROM pg_class c JOIN pg_index x ON x.indrelid = c.oid JOIN pg_class i ON i.oid = x.indexrelid
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = ANY(:ours)
    AND NOT EXISTS (SELECT FROM pg_constraint r WHERE r.conindid = x.indexrelid)
""")
_POSTGRES_TRIGGERS = sa.text("""
    SELECT c.relname, t.tgname, t.tgenabled::text, pg_get_triggerdef(t.oid), f.prosrc
    FROM pg_class c JOIN pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal JOIN pg_proc f ON f.oid = t.tgfoid
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = ANY(:ours)
""")
_POSTGRES_RULES = sa.text("""
    SELECT c.relname, r.rulename FROM pg_class c JOIN pg_rewrite r ON r.ev_class = c.oid AND r.rulename <> '_RETURN'
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = ANY(:ours)
""")
