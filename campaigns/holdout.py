"""Who is held out: a salted hash, so that the answer is the same each time and cannot be steered."""

import hashlib


def held_out(salt: str, member_id: int, *, percent: int) -> bool:
    """Whether a member belongs to the control group. The SQL in `HELD_OUT` says the same; a test compares them."""
    digest = hashlib.sha256(f"{salt}:{member_id}".encode()).digest()
    return int.from_bytes(digest[:4]) % 100 < percent


# With $SALT, $MEMBER and $PERCENT replaced by SQL expressions.
HELD_OUT = (
    "(('x' || substr(encode(sha256(convert_to({salt} || ':' || {member}, 'UTF8')), 'hex'), 1, 8))::bit(32)::bigint "
    "& 4294967295) % 100 < {percent}"
)
