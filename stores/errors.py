"""What stores/ refuses."""

from errors import DomainError, InvalidInput, NotFound


class NoChain(DomainError):
    """The database holds no chain yet."""

    def __init__(self) -> None:
        super().__init__("There is no chain yet: run 'regulars demo', or import stores or receipts first.")


class OtherChain(DomainError):
    """What is asked for belongs to a chain with other settings."""

    def __init__(self, *, setting: str, here: str, wanted: str) -> None:
        super().__init__(
            f"This database holds a chain whose {setting} is {here}, not {wanted}. "
            "Use another database: set DATABASE_URL, or REGULARS_HOME for another embedded one.",
            setting=setting,
            here=here,
            wanted=wanted,
        )


class UnknownStore(NotFound):
    def __init__(self, *, code: str) -> None:
        super().__init__(kind="store", name=code)


class UnknownTill(NotFound):
    def __init__(self, *, store: str, till: str) -> None:
        super().__init__(kind=f"till in store {store}", name=till)


class UnknownProduct(NotFound):
    """The catalogue has no such SKU."""

    status = 422

    def __init__(self, *, skus: list[str]) -> None:
        super().__init__(kind="product with SKU", name=", ".join(skus))
        self.facts = {"field": "lines.sku", "skus": skus}


class UnknownReceipt(NotFound):
    def __init__(self, *, name: object) -> None:
        super().__init__(kind="receipt", name=name)


class ReceiptDiffers(DomainError):
    """The store, till and number name a receipt that is already recorded with other content."""

    def __init__(self, *, receipt_id: int, differences: list[dict[str, object]]) -> None:
        named = ", ".join(str(difference["field"]) for difference in differences)
        super().__init__(
            f"This receipt number is already recorded with different content ({named}). Nothing was changed: "
            "use a new number, or send what was sent first.",
            receipt_id=receipt_id,
            differences=differences,
        )


class EmailTaken(DomainError):
    def __init__(self, *, email: str) -> None:
        super().__init__(f"{email} is already a staff member.", field="email")


class FileRefused(InvalidInput):
    """An import file cannot be read at all; nothing was imported."""


class StoreExists(DomainError):
    def __init__(self, *, code: str) -> None:
        super().__init__(f"There is a store {code!r} already; change that one.", code=code)


class ProductExists(DomainError):
    def __init__(self, *, sku: str) -> None:
        super().__init__(f"There is a product {sku!r} already; change that one.", sku=sku)


class UnknownStaff(NotFound):
    def __init__(self, *, staff_id: int) -> None:
        super().__init__(kind="staff account", name=staff_id)


class LastAdministrator(DomainError):
    """Somebody has to be able to let others in."""

    def __init__(self) -> None:
        super().__init__("This is the last active administrator; make another one first.")


class EnrolmentRefused(DomainError):
    """Told the same way for a wrong code, a spent one and one that has expired."""

    status = 401

    def __init__(self) -> None:
        super().__init__("This code enrols no till: it is wrong, spent or expired. Ask for a new one.")


class NoShift(NotFound):
    def __init__(self) -> None:
        super().__init__(kind="open shift", name="on this till")


class ImportNotUndoable(DomainError):
    """Of another kind than members, or undone already."""

    def __init__(self, *, import_id: int, kind: str, status: str) -> None:
        super().__init__(
            f"Import {import_id} of {kind} is {status} and cannot be undone.",
            import_id=import_id,
            kind=kind,
            import_status=status,
        )


__all__ = [
    "EmailTaken",
    "EnrolmentRefused",
    "FileRefused",
    "LastAdministrator",
    "NoChain",
    "NoShift",
    "OtherChain",
    "ProductExists",
    "ReceiptDiffers",
    "StoreExists",
    "UnknownProduct",
    "UnknownReceipt",
    "UnknownStaff",
    "UnknownStore",
    "UnknownTill",
]
