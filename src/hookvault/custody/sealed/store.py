"""All SQL on the rows that hold secrets, written from the registry: paged by key, and changed by compare-and-swap."""

from collections.abc import Sequence
from typing import Any

from hookvault.custody.model import SealedRow
from hookvault.db.pool import SystemTx
from hookvault.vault.registry import REGISTRY, SealedTable

Cursor = tuple[str, str]
START: Cursor = ("", "00000000-0000-0000-0000-000000000000")
ALL = ""  # instead of a tenant


async def page(tx: SystemTx, table: SealedTable, after: Cursor, limit: int) -> list[SealedRow]:
    """The rows of a table after one, by tenant and row."""
    rows = await tx.fetch(_select(table, stale=False), *_after(table, after), limit)
    return [_row(table, row) for row in rows]


async def stale_page(
    tx: SystemTx, table: SealedTable, after: Cursor, limit: int, tenant_id: str
) -> list[tuple[SealedRow, int]]:
    """The rows after one that another data key sealed than their tenant's active one; with that one's version."""
    rows = await tx.fetch(_select(table, stale=True), *_after(table, after), limit, tenant_id)
    return [(_row(table, row), row["active_version"]) for row in rows]


async def swap(tx: SystemTx, table: SealedTable, changed: Sequence[tuple[SealedRow, int, dict[str, Any]]]) -> int:
    """Stores rows sealed anew (the row as it was read, the new key version, the new columns); how many.

    A row that anybody changed in between is left as that one made it.
    """
    names = [column.name for column in table.columns]
    values: list[list[Any]] = [
        [row.tenant_id for row, _, _ in changed],
        [row.row_id for row, _, _ in changed],
        [row.key_version for row, _, _ in changed],
        [version for _, version, _ in changed],
    ]
    for name in names:
        values += [[row.columns[name] for row, _, _ in changed], [new[name] for _, _, new in changed]]
    return await tx.execute(_swap(table), *values)


async def count_stale(tx: SystemTx, tenant_id: str) -> int:
    """How many rows another data key sealed than their tenant's active one; of one tenant, or of ALL."""
    total = 0
    for table in REGISTRY:
        total += int(await tx.fetchval(_count(table, "t.key_version <> k.version"), tenant_id))
    return total


async def count_rows(tx: SystemTx, tenant_id: str) -> int:
    """How many rows may hold secrets; of one tenant, or of ALL."""
    total = 0
    for table in REGISTRY:
        total += int(await tx.fetchval(_count(table, "true"), tenant_id))
    return total


async def is_used(tx: SystemTx, tenant_id: str, *, below: int) -> bool:
    """Whether any row of a tenant was sealed by a data key of a version below one."""
    for table in REGISTRY:
        found = f"SELECT EXISTS (SELECT FROM {table.name} WHERE tenant_id = $1 AND key_version < $2)"  # noqa: S608 - the registry's
        if await tx.fetchval(found, tenant_id, below):
            return True
    return False


async def drop_hints(tx: SystemTx, tenant_id: str) -> None:
    """Removes what is shown of a tenant's secrets: the secrets are gone."""
    for table in [table for table in REGISTRY if table.hinted]:
        statement = f"UPDATE {table.name} SET secret_hints = '{{}}' WHERE tenant_id = $1"  # noqa: S608 - the registry's
        await tx.execute(statement, tenant_id)


def _select(table: SealedTable, *, stale: bool) -> str:
    columns = ", ".join(f"t.{column.name}" for column in table.columns)
    single = table.row_id == "tenant_id"
    after = "t.tenant_id > $1" if single else f"(t.tenant_id, t.{table.row_id}) > ($1, $2::uuid)"
    limit = 2 if single else 3
    order = "t.tenant_id" if single else f"t.tenant_id, t.{table.row_id}"
    active, joined, wanted = "", "", ""
    if stale:
        active = ", k.version AS active_version"
        joined = "JOIN data_keys k ON k.tenant_id = t.tenant_id AND k.state = 'active'"
        wanted = f"AND k.version <> t.key_version AND (${limit + 1} = '' OR t.tenant_id = ${limit + 1})"
    return f"""SELECT t.tenant_id, t.{table.row_id}::text AS row_id, t.key_version, {columns}{active}
FROM {table.name} t {joined} WHERE {after} {wanted} ORDER BY {order} LIMIT ${limit}"""  # noqa: S608 - names of the registry


def _swap(table: SealedTable) -> str:
    kind = "text" if table.row_id == "tenant_id" else "uuid"
    names, types, sets, same = [], [], [], []
    for number, column in enumerate(table.columns):
        sql = "text" if column.secret is None else "jsonb"
        old, new = 5 + 2 * number, 6 + 2 * number
        names += [f"old_{column.name}", f"new_{column.name}"]
        types += [f"${old}::{sql}[]", f"${new}::{sql}[]"]
        sets.append(f"{column.name} = g.new_{column.name}")
        same.append(f"t.{column.name} IS NOT DISTINCT FROM g.old_{column.name}")
    return f"""UPDATE {table.name} t SET key_version = g.new_version, {", ".join(sets)}
FROM unnest($1::text[], $2::{kind}[], $3::int[], $4::int[], {", ".join(types)})
    AS g (tenant_id, row_id, old_version, new_version, {", ".join(names)})
WHERE t.tenant_id = g.tenant_id AND t.{table.row_id} = g.row_id AND t.key_version = g.old_version
    AND {" AND ".join(same)}"""  # noqa: S608 - names of the registry


def _count(table: SealedTable, condition: str) -> str:
    return f"""SELECT count(*) FROM {table.name} t JOIN data_keys k ON k.tenant_id = t.tenant_id AND k.state = 'active'
WHERE ($1 = '' OR t.tenant_id = $1) AND {condition}"""  # noqa: S608 - names of the registry


def _after(table: SealedTable, after: Cursor) -> tuple[str, ...]:
    return after[:1] if table.row_id == "tenant_id" else after


def _row(table: SealedTable, row: Any) -> SealedRow:
    columns = {column.name: row[column.name] for column in table.columns}
    return SealedRow(table, row["tenant_id"], row["row_id"], row["key_version"], columns)
