"""What every test of the ledger ends with."""

from collections.abc import AsyncIterator

import pytest

from loyalty.verification import verify_ledger
from tests import shop


@pytest.fixture
async def whole_ledger() -> AsyncIterator[None]:
    """A shop, and whatever a case does in it, the ledger stays whole."""
    await shop.open_shop()
    yield
    found = await verify_ledger()
    assert found.ok, found.breaks
