"""A sealed text is known again, and no other."""

from hypothesis import given
from hypothesis import strategies as st

from prefork.service.seal import is_sealed, sealed

BYTES_OF_NO_TEXT = st.sampled_from([chr(number) for number in range(0xDC80, 0xDD00)])
TEXTS = st.text(st.characters(codec="utf-8") | BYTES_OF_NO_TEXT)


@given(TEXTS)
def test_what_was_sealed_is_sealed(text: str) -> None:
    assert is_sealed(sealed(text))


@given(TEXTS, TEXTS.filter(bool))
def test_what_was_changed_or_never_sealed_is_not(text: str, more: str) -> None:
    assert not is_sealed(sealed(text) + more)
    assert not is_sealed(more + sealed(text))
    assert not is_sealed(text)
