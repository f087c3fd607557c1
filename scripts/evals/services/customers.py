"""Customers and their invoices: pages by number and by offset, revenues that tie or are unknown,
and customers whose contract keeps them as they are."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from typing_extensions import TypedDict

from .service import Refused, Tool

MOST_A_PAGE = 20
INVOICES_A_PAGE = 100
UNDER_CONTRACT = ("C-1017", "C-1038")

_COUNTRIES = ("DE", "FR", "JP", "KE", "US")
_FIRST = ("Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Gum", "Hazel", "Iris", "Juniper",
          "Kapok", "Linden")  # fmt: skip
_SECOND = ("Works", "Foods", "Labs", "Media", "Freight")
_LARGEST = {7: 480_000, 23: 455_000, 31: 430_000, 46: 430_000}

Tier = Literal["free", "pro", "enterprise"]


class Customer(TypedDict):
    id: str
    name: str
    country: str
    tier: Tier
    revenue: int | None
    owner: str | None
    since: str


class CustomerPage(TypedDict):
    customers: list[Customer]
    page: int
    pages: int


class Invoice(TypedDict):
    id: str
    customer_id: str
    amount: int
    status: Literal["paid", "open", "overdue"]
    due: str


class Done(TypedDict):
    id: str
    done: bool


def all_customers() -> list[Customer]:
    """Return the customers as they are at the start."""
    return [_customer(number) for number in range(1, 61)]


def all_invoices(now: datetime) -> list[Invoice]:
    """Return the invoices, oldest first."""
    return [_invoice(number, now) for number in range(1, 241)]


class Registry:
    """The tools, and what they changed."""

    def __init__(self, now: datetime) -> None:
        self._customers = {customer["id"]: customer for customer in all_customers()}
        self._invoices = all_invoices(now)

    def list_customers(
        self, page: int = 1, country: str | None = None, tier: Tier | None = None
    ) -> CustomerPage:
        """Lists customers, 20 a page. revenue is that of a year in USD, null if unknown."""
        found = [
            customer
            for customer in self._customers.values()
            if country in (None, customer["country"]) and tier in (None, customer["tier"])
        ]
        pages = max(1, -(-len(found) // MOST_A_PAGE))
        if not 1 <= page <= pages:
            raise Refused(f"there is no page {page}, there are {pages}")
        start = (page - 1) * MOST_A_PAGE
        return {"customers": found[start : start + MOST_A_PAGE], "page": page, "pages": pages}

    def get_customer(self, id: str) -> Customer:
        """Gets one customer, by an id such as C-1001."""
        return self._customer(id)

    def list_invoices(
        self, offset: int = 0, status: Literal["paid", "open", "overdue"] | None = None
    ) -> list[Invoice]:
        """Lists invoices, oldest first: at most 100 from that offset on. Amounts are in USD."""
        found = [invoice for invoice in self._invoices if status in (None, invoice["status"])]
        return found[offset : offset + INVOICES_A_PAGE]

    def add_note(self, id: str, text: str) -> Done:
        """Adds a note to a customer."""
        self._customer(id)
        return {"id": id, "done": True}

    def set_tier(self, id: str, tier: Tier) -> Done:
        """Moves a customer to another tier. Fails for those whose contract forbids it."""
        customer = self._customer(id)
        if id in UNDER_CONTRACT:
            raise Refused(f"the contract of {id} forbids another tier")
        customer["tier"] = tier
        return {"id": id, "done": True}

    def _customer(self, id: str) -> Customer:
        if id not in self._customers:
            raise Refused(f"there is no customer {id}")
        return self._customers[id]


def customers(now: datetime) -> list[Tool]:
    """Return the tools of a registry of its own."""
    registry = Registry(now)
    return [
        Tool(registry.list_customers),
        Tool(registry.get_customer),
        Tool(registry.list_invoices),
        Tool(registry.add_note, changes=True),
        Tool(registry.set_tier, changes=True),
    ]


def _customer(number: int) -> Customer:
    tiers: tuple[Tier, ...] = ("free", "pro", "pro", "enterprise")
    revenue = None if number % 9 == 0 else number * 7_919 % 160_000
    return {
        "id": f"C-{1_000 + number}",
        "name": f"{_FIRST[number % 12]} {_SECOND[number % 5]}",
        "country": _COUNTRIES[number * 3 % 7 % 5],
        "tier": tiers[number % 4],
        "revenue": _LARGEST.get(number, revenue),
        "owner": None if number % 8 == 0 else ("ada", "ken", "margaret")[number % 3],
        "since": f"20{10 + number % 15}-{number % 12 + 1:02}-01",
    }


def _invoice(number: int, now: datetime) -> Invoice:
    days = 260 - number  # since it was due, 20 and more
    overdue, still_open = number % 20 == 3, number % 20 == 11
    return {
        "id": f"I-{number:04}",
        "customer_id": f"C-{1_000 + number * 11 % 45 + 1}",
        "amount": number * 137 % 4_900 + 100,
        "status": "overdue" if overdue else "open" if still_open else "paid",
        "due": (now.date() - timedelta(days=days)).isoformat(),
    }
