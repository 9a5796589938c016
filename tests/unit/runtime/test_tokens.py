from __future__ import annotations

from hookline.core.secrets import digest, new_token
from hookline.runtime.tokens import Tokens


def test_without_tokens_everyone_is_let_in() -> None:
    assert Tokens(()).admit(b"")


def test_a_good_token_stays_good_and_a_bad_one_bad() -> None:
    token = new_token().encode()
    tokens = Tokens((digest("another"), digest(token.decode())))

    for _ in range(2):
        assert tokens.admit(b"Bearer " + token)
        assert not tokens.admit(b"Bearer " + token[:-1])
        assert not tokens.admit(token)
        assert not tokens.admit(b"")


def test_bad_tokens_and_odd_spellings_are_not_remembered_without_end() -> None:
    token = new_token().encode()
    tokens = Tokens((digest(token.decode()),))
    for number in range(1000):
        assert not tokens.admit(b"Bearer %d" % number)
        assert tokens.admit(b"Bearer" + b" " * (1 + number) + token)

    assert len(tokens._good) < 1000


def test_no_token_is_kept() -> None:
    token = new_token()
    tokens = Tokens((digest(token),))
    tokens.admit(b"Bearer " + token.encode())

    assert token.encode() not in b"".join(tokens._good)
