"""What crosses the edge between people and the chain: amounts, ids, orders, errors."""

from __future__ import annotations

from decimal import Decimal

import pytest
from eth_abi.abi import encode
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st
from web3 import Web3

from plimsoll import abi
from plimsoll.delegates import REVOKED, Delegation, Grant
from plimsoll.delegates import TYPES as GRANT_TYPES
from plimsoll.errors import (
    ContractError,
    InexactAmountError,
    InvalidDelegationError,
    InvalidOrderError,
    MalformedIdError,
    decode_error,
)
from plimsoll.hints import HINTS
from plimsoll.instruments import AccountId, Holding, Instrument, Kind, Position
from plimsoll.orders import TYPES, Leg, Order
from plimsoll.records import UNREADABLE, health_of
from plimsoll.units import (
    decimal_of,
    from_units,
    from_wad,
    show_down,
    show_up,
    to_units_down,
    to_units_exact,
    to_units_up,
    to_wad_exact,
)
from tests.evm import actor

MAKER = actor("maker")
DOMAIN = {
    "name": "Plimsoll",
    "version": "1",
    "chainId": 31337,
    "verifyingContract": "0x" + "11" * 20,
}
DECIMALS = st.sampled_from([0, 2, 6, 8, 18, 24, 27])
SIZES = st.integers(-(2**103), 2**103 - 1)
INSTRUMENTS = st.one_of(
    st.builds(Instrument.perpetual, st.integers(1, 255)),
    st.builds(Instrument, st.just(Kind.FUTURE), st.integers(1, 255), st.integers(1, 4095)),
    st.builds(
        Instrument,
        st.just(Kind.OPTION),
        st.integers(1, 255),
        st.integers(1, 4095),
        st.integers(1, 2**20 - 1).filter(lambda mantissa: mantissa % 10 != 0),
        st.integers(0, 15),
        st.booleans(),
    ),
)
SYMBOLS = {"ETH": 1, "wst-ETH": 2, "BTC": 5}


class TestUnits:
    @given(units=st.integers(-(2**255), 2**256 - 1), decimals=DECIMALS)
    def test_a_chain_integer_survives_the_round_trip(self, units, decimals):
        assert to_units_exact(from_units(units, decimals), decimals) == units

    @given(units=st.integers(-(2**200), 2**200), decimals=DECIMALS, extra=st.integers(1, 10**6 - 1))
    def test_between_two_units_only_a_named_direction_will_do(self, units, decimals, extra):
        between = from_units(units * 10**6 + extra, decimals + 6)
        assert to_units_down(between, decimals) == units
        assert to_units_up(between, decimals) == units + 1
        with pytest.raises(InexactAmountError, match="decimals: round it first"):
            to_units_exact(between, decimals)

    @pytest.mark.parametrize("written", [0.1, float("nan"), "ten", "NaN", "Infinity", ""])
    def test_what_is_no_exact_number_is_refused(self, written):
        with pytest.raises(InexactAmountError):
            decimal_of(written)

    @pytest.mark.parametrize(
        ("number", "down", "up"),
        [
            ("1234.567", "1,234.56", "1,234.57"),
            ("-1234.567", "-1,234.57", "-1,234.56"),
            ("0.001", "0.00", "0.01"),
            ("-0.001", "-0.01", "-0.00"),
            ("5", "5.00", "5.00"),
        ],
    )
    def test_what_is_shown_is_rounded_the_way_the_name_says(self, number, down, up):
        assert show_down(Decimal(number)) == down
        assert show_up(Decimal(number)) == up


class TestIds:
    @given(owner=st.binary(min_size=20, max_size=20), sub_account=st.integers(0, 2**96 - 1))
    def test_an_account_survives_the_round_trip(self, owner, sub_account):
        account = AccountId(Web3.to_checksum_address(owner), sub_account)
        packed = owner + sub_account.to_bytes(12, "big")
        assert account.encode() == packed
        assert AccountId.decode(packed) == account
        assert AccountId.decode("0x" + packed.hex()) == account
        assert AccountId.decode(int.from_bytes(packed, "big")) == account

    @given(instrument=INSTRUMENTS)
    def test_an_instrument_survives_the_round_trip(self, instrument):
        assert Instrument.decode(instrument.encode()) == instrument

    def test_the_fields_of_an_instrument_lie_where_the_interface_says(self):
        put = Instrument(Kind.OPTION, 5, 700, 3001, 9, True)
        assert put.encode() == 3 << 46 | 5 << 37 | 700 << 25 | 3001 << 5 | 9 << 1 | 1
        assert Instrument.perpetual(7).encode() == 1 << 46 | 7 << 37

    @pytest.mark.parametrize(
        ("name", "instrument", "strike", "expiry"),
        [
            ("ETH-PERPETUAL", Instrument.perpetual(1), "0", None),
            ("wst-ETH-1JAN25", Instrument.future(2, 0), "0", 1_735_718_400),
            ("BTC-25DEC26", Instrument.future(5, 723), "0", 1_798_185_600),
            ("ETH-25DEC26-2000-C", Instrument(Kind.OPTION, 1, 723, 2, 13), "2000", 1_798_185_600),
            ("ETH-5MAR27-0.125-P", Instrument(Kind.OPTION, 1, 793, 125, 7, True), "0.125", None),
            ("BTC-25DEC26-1200000-P", Instrument(Kind.OPTION, 5, 723, 12, 15, True), "12E5", None),
        ],
    )
    def test_people_call_an_instrument_by_name(self, name, instrument, strike, expiry):
        assert Instrument.parse(name, SYMBOLS) == instrument
        assert instrument.name({number: symbol for symbol, number in SYMBOLS.items()}) == name
        assert instrument.strike == Decimal(strike)
        if expiry is not None:
            assert instrument.expiry == expiry

    def test_a_strike_is_spelled_once(self):
        assert Instrument.option(1, 723, "2000", put=False) == Instrument.option(
            1, 723, Decimal("2e3"), put=False
        )
        assert Instrument.perpetual(1).expiry is None

    @given(instrument=INSTRUMENTS, size=SIZES, quote=SIZES)
    def test_a_position_word_is_read_with_its_signs(self, instrument, size, quote):
        word = instrument.encode() << 208 | size % 2**104 << 104 | quote % 2**104
        assert Position.decode(word) == Position(instrument, from_wad(size), from_wad(quote))

    @given(asset=st.integers(1, 95), units=st.integers(0, 2**128 - 1))
    def test_a_holding_word_is_read(self, asset, units):
        held = Holding.decode(asset << 128 | units)
        assert (held.asset, held.units) == (asset, units)
        assert to_units_exact(held.amount(6), 6) == units

    @pytest.mark.parametrize(
        "build",
        [
            lambda: AccountId("0x1234"),  # type: ignore[arg-type]
            lambda: AccountId(MAKER.address, 2**96),
            lambda: AccountId.decode(b"short"),
            lambda: Instrument.perpetual(512),
            lambda: Instrument(Kind.PERPETUAL, 1, expiry_day=3),
            lambda: Instrument(Kind.FUTURE, 1, expiry_day=3, strike_mantissa=1),
            lambda: Instrument.decode(0),
            lambda: Instrument(Kind.OPTION, 1, 700, 0, 3),
            lambda: Instrument(Kind.OPTION, 1, 700, 20, 14),
            lambda: Instrument.option(1, 700, "1234567.8", put=True),
            lambda: Instrument.option(1, 700, 0, put=True),
            lambda: Instrument.parse("DOGE-25DEC26", SYMBOLS),
            lambda: Instrument.parse("ETH-29FEB27", SYMBOLS),
            lambda: Instrument.parse("ETH-25DEC26-2000-X", SYMBOLS),
            lambda: Instrument.parse("ETH-25DEC24", SYMBOLS),
            lambda: Instrument.parse("ETH-25DEC26-C", SYMBOLS),
        ],
    )
    def test_ids_that_cannot_be_are_refused(self, build):
        with pytest.raises(MalformedIdError):
            build()


def order(**overrides):
    fields = {
        "account": AccountId(MAKER.address, 3),
        "legs": (Leg(Instrument.perpetual(1)), Leg(Instrument.perpetual(2), Decimal("-0.05"))),
        "quantity": "2.5",
        "price": "-12.25",
        "expiry": 1_800_000_000,
        "epoch": 4,
        **overrides,
    }
    return Order.build(**fields)


class TestOrders:
    def test_the_signature_recovers_to_the_signer(self):
        signed = order().sign(MAKER, DOMAIN)
        recovered = Account._recover_hash(signed.order.digest(DOMAIN), signature=signed.signature)
        assert recovered == MAKER.address

    def test_the_digest_is_that_of_the_struct_written_out(self):
        """Against an EIP-712 encoder given the whole document, as wallets get it."""
        made = order()
        document = {
            "types": {
                "EIP712Domain": [
                    {"name": "name", "type": "string"},
                    {"name": "version", "type": "string"},
                    {"name": "chainId", "type": "uint256"},
                    {"name": "verifyingContract", "type": "address"},
                ],
                **TYPES,
            },
            "primaryType": "Order",
            "domain": DOMAIN,
            "message": made.message(),
        }
        whole = encode_typed_data(full_message=document)
        assert made.digest(DOMAIN) == keccak(b"\x19" + whole.version + whole.header + whole.body)

    def test_the_message_is_the_inverse_of_reading_it(self):
        made = order(minimum_fill="0.5", reduce_only=True)
        assert Order.from_message(made.message()) == made

    def test_the_struct_has_the_names_and_types_of_the_abi(self):
        function = next(
            entry for entry in abi.load("ClearingHouse") if entry.get("name") == "hashOrder"
        )
        (struct,) = function["inputs"]
        assert [
            (part["name"], part["type"].replace("tuple", "Leg")) for part in TYPES["Order"]
        ] == [(part["name"], part["type"].replace("tuple", "Leg")) for part in struct["components"]]
        (legs,) = (part for part in struct["components"] if part["name"] == "legs")
        assert [(part["name"], part["type"]) for part in TYPES["Leg"]] == [
            (part["name"], part["type"]) for part in legs["components"]
        ]

    def test_two_orders_of_the_same_terms_differ(self):
        assert order().digest(DOMAIN) != order().digest(DOMAIN)

    def test_nobody_signs_for_another(self):
        with pytest.raises(InvalidOrderError, match="has to sign"):
            order().sign(actor("stranger"), DOMAIN)

    @pytest.mark.parametrize(
        "flaw",
        [
            {"legs": ()},
            {"legs": tuple(Leg(Instrument.perpetual(u)) for u in range(1, 10))},
            {"legs": (Leg(Instrument.perpetual(1)), Leg(Instrument.perpetual(1)))},
            {"legs": (Leg(Instrument.perpetual(1), Decimal(0)),)},
            {"quantity": 0},
            {"minimum_fill": -1},
        ],
    )
    def test_what_the_house_would_always_refuse_is_not_built(self, flaw):
        with pytest.raises(InvalidOrderError):
            order(**flaw)

    def test_an_amount_finer_than_the_chain_is_refused(self):
        with pytest.raises(InexactAmountError):
            order(quantity="0.0000000000000000001").message()


def grant(**overrides):
    terms = {"max_leverage": "2.5", "markets": [1, Instrument.perpetual(7)]} | overrides
    scope = Delegation.build(2_000_000_000, **terms)
    owner = AccountId(actor("owner").address, 3)
    return Grant(owner, actor("delegate").address, scope, nonce=4, deadline=1_900_000_000)


class TestDelegations:
    def test_the_message_is_in_the_chain_s_units(self):
        assert grant(may_bid=True).delegation.message() == {
            "expiry": 2_000_000_000,
            "mayBid": True,
            "reduceOnly": False,
            "maxLeverage": 250,
            "markets": 1 << 1 | 1 << 7,
        }

    @pytest.mark.parametrize("terms", [{}, {"max_leverage": None}, {"markets": ()}])
    def test_reading_is_the_inverse_of_writing(self, terms):
        made = grant(**terms).delegation
        assert Delegation.decode(tuple(made.message().values())) == made

    def test_the_struct_has_the_names_and_types_of_the_abi(self):
        function = next(
            entry for entry in abi.load("ClearingHouse") if entry.get("name") == "hashDelegate"
        )
        account, delegate, terms, nonce, deadline = function["inputs"]
        parts = [account, delegate, *terms["components"], nonce, deadline]
        told = [(part["name"], part["type"]) for part in GRANT_TYPES["Delegate"]]
        assert told == [(part["name"], part["type"]) for part in parts]

    def test_the_signature_recovers_to_the_owner(self):
        signed = grant().sign(actor("owner"), DOMAIN)
        found = Account.recover_message(grant().typed_data(DOMAIN), signature=signed.signature)
        assert found == actor("owner").address
        with pytest.raises(InvalidDelegationError, match="has to sign"):
            grant().sign(actor("delegate"), DOMAIN)

    @pytest.mark.parametrize(
        "flaw",
        [
            {"expiry": -1},
            {"expiry": 2**64},
            {"max_leverage": 0},
            {"max_leverage": -1},
            {"markets": [256]},
            {"markets": [-1]},
        ],
    )
    def test_what_the_house_could_not_keep_is_not_built(self, flaw):
        with pytest.raises(InvalidDelegationError):
            Delegation.build(**flaw)

    def test_leverage_finer_than_hundredths_is_refused(self):
        with pytest.raises(InexactAmountError):
            grant(max_leverage="1.001").delegation.message()

    def test_it_holds_to_the_second(self):
        scope = grant().delegation
        assert scope.holds(2_000_000_000)
        assert not scope.holds(2_000_000_001)
        assert not REVOKED.holds(1)


class TestErrors:
    def test_every_error_of_the_abis_has_a_hint_and_no_hint_is_left_over(self):
        declared = {entry["name"] for entry in abi.of_type("error").values()}
        assert declared - HINTS.keys() == set()
        assert HINTS.keys() - declared == set()

    @pytest.mark.parametrize("signature", sorted(abi.of_type("error")))
    def test_every_error_is_decoded_to_its_name_and_values(self, signature):
        entry = abi.of_type("error")[signature]
        kinds = [abi.type_of(item) for item in entry["inputs"]]
        values = [sample(kind) for kind in kinds]
        error = decode_error(keccak(text=signature)[:4] + encode(kinds, values))
        assert error.name == entry["name"]
        assert list(error.values) == [item["name"] for item in entry["inputs"]]
        for item, value in zip(entry["inputs"], values, strict=True):
            if not item["type"].startswith("tuple"):
                assert error.values[item["name"]] == value
        assert error.hint in str(error)

    def test_a_struct_in_an_error_is_read_by_its_names(self):
        margin = (7, 6, 5, 4, 3, True)
        kinds = ["bytes32", *2 * ["(int256,int256,int256,uint256,uint256,bool)"]]
        selector = keccak(text=f"RatioWorsened({','.join(kinds)})")[:4]
        error = decode_error(selector + encode(kinds, [b"\1" * 32, margin, margin]))
        assert error.values["before_"]["initialMargin"] == 4
        assert error.values["after_"]["doubtful"] is True

    def test_words_and_panics_are_read(self):
        words = decode_error(keccak(text="Error(string)")[:4] + encode(["string"], ["no"]))
        assert (words.name, words.values) == ("Error", {"message": "no"})
        panic = decode_error(keccak(text="Panic(uint256)")[:4] + encode(["uint256"], [0x11]))
        assert panic.values == {"code": 0x11, "reason": "arithmetic overflow"}

    def test_an_error_of_somebody_else_keeps_its_data(self):
        error = decode_error(b"\xde\xad\xbe\xef")
        assert isinstance(error, ContractError)
        assert (error.name, error.values) == ("Unknown", {"data": "0xdeadbeef"})


def sample(kind: str):
    """A value of an ABI type, distinct from its default."""
    if kind.startswith("("):
        return tuple(sample(part) for part in kind[1:-1].split(","))
    if kind == "address":
        return "0x" + "ab" * 20
    if kind == "bool":
        return True
    if kind == "string":
        return "text"
    return b"\x07" * 32 if kind == "bytes32" else 1


class TestHealth:
    def test_without_margin_health_has_no_bound(self):
        assert health_of(2**127 - 1) == Decimal("Infinity")
        assert health_of(-(2**127 - 1)) == Decimal("-Infinity")
        assert health_of(to_wad_exact("1.05")) == Decimal("1.05")
        assert UNREADABLE < -(2**127 - 1)
