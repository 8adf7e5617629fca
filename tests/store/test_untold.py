"""A job never ends without its story: where the database leaves one out, all of it is undone and done anew."""

import secrets

import pytest

_SWALLOW = """
CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF nextval('{name}') <= {times} THEN RETURN NULL; END IF;
    RETURN NEW;
END $$
"""


@pytest.fixture
async def swallow(depot, outside):
    """Has the database leave out the first updates of the tenant's stories."""
    name = f"swallow_{secrets.token_hex(4)}"

    async def begin(times):
        await outside.execute(f"CREATE SEQUENCE {name}")
        await outside.execute(_SWALLOW.format(name=name, times=times))
        await outside.execute(
            f"CREATE TRIGGER {name} BEFORE UPDATE ON webhook_deliveries FOR EACH ROW "
            f"WHEN (NEW.tenant_id = '{depot.tenant_id}') EXECUTE FUNCTION {name}()"
        )

    yield begin
    await outside.execute(f"DROP FUNCTION IF EXISTS {name} CASCADE")
    await outside.execute(f"DROP SEQUENCE IF EXISTS {name}")


async def test_a_story_that_was_left_out_is_told_on_the_second_try(depot, swallow, caplog):
    webhook = await depot.webhook()
    await swallow(1)
    made = await depot.send(webhook)
    (story,) = await depot.ended(made)
    assert story.delivery.status == "delivered"
    assert (len(story.call_ids), len(depot.seen(webhook))) == (1, 1)  # called once, recorded once
    assert str(made) in caplog.text
    assert "stories_untold" in caplog.text


async def test_a_story_that_was_removed_holds_up_nobody(depot, owner):
    webhook = await depot.webhook(is_active=False)
    removed, other = await depot.send(webhook, 1), await depot.send(webhook, 2)
    await owner("DELETE FROM webhook_deliveries WHERE id = $1", removed)
    await depot.change(webhook, is_active=True)
    (story,) = await depot.ended(other)
    assert story.delivery.status == "delivered"
    assert await owner("SELECT FROM delivery_queue WHERE id = $1", removed) == []
