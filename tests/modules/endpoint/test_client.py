"""A client of an OpenAI-compatible endpoint, against one on this machine."""

import socket
import threading
from math import exp, log

import pytest

from modules.endpoint.client import Endpoint, EndpointError, Patience, at_once
from modules.endpoint.next_tokens import Candidate, listed, next_of_chat, next_of_text, parse
from tests.fixtures.endpoint import serving

GOOD = (200, {}, {"choices": [{"text": "yes", "message": {"content": "yes"}}]})
SOON = {"retry-after-ms": "1"}
KEY = "sk-very-secret"


def client(served, **arguments):
    return Endpoint(served.url, "tiny", **arguments)


def test_a_request_holds_the_model_the_options_and_what_is_extra(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_ORG_ID", "org")
    with serving(script=[GOOD, GOOD]) as served:
        endpoint = client(served, extra={"seed": 7, "odd": {"a": [1]}, "max_tokens": None})
        assert endpoint.complete([1, 2], max_tokens=3)["text"] == "yes"
        assert endpoint.chat([{"role": "user", "content": "?"}])["message"]["content"] == "yes"
    assert served.requests[0][0] == "/v1/completions"
    sent = {"model": "tiny", "prompt": [1, 2], "seed": 7, "odd": {"a": [1]}}
    assert served.requests[0][2] == sent
    assert served.requests[1][0] == "/v1/chat/completions"
    headers = served.requests[0][1]
    assert not any(KEY in value or value == "org" for value in headers.values())
    assert "authorization" not in {name.lower() for name in headers}


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_failure_is_tried_again(status):
    with serving(script=[(status, SOON, {})] * 3 + [GOOD]) as served:
        assert client(served).complete("x")["text"] == "yes"
    assert len(served.requests) == 4


def test_tries_are_bounded_and_the_error_names_path_status_and_tries():
    busy = (429, SOON, {"error": {"message": "Slow down\n please."}})
    with serving(script=[busy] * 9) as served:
        wanted = r"^/v1/completions: status 429: Slow down please \(after up to 3 tries\)\.$"
        with pytest.raises(EndpointError, match=wanted):
            client(served, patience=Patience(tries=3)).complete("x")
    assert len(served.requests) == 3


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_refusal_is_told_at_once(status):
    with serving(script=[(status, {}, b"<html>no\nsuch model</html>")] * 2) as served:
        with pytest.raises(EndpointError, match=rf"status {status}: <html>no such model</html>\.$"):
            client(served).complete("x")
    assert len(served.requests) == 1


def test_lasting_silence_is_told():
    with serving(script=[0.3, GOOD]) as served:
        endpoint = client(served, patience=Patience(tries=1, timeout=0.1))
        with pytest.raises(EndpointError, match=r"no answer: nothing came for 0\.1 s\.$"):
            endpoint.complete("x")


def test_nobody_there_is_told(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    endpoint = Endpoint(url, "tiny", patience=Patience(tries=1))
    with pytest.raises(EndpointError, match=r"^/v1/completions: no answer: .*refused"):
        endpoint.complete("x")


@pytest.mark.parametrize("kind", [{}, {"Content-Type": "application/json"}])
@pytest.mark.parametrize("body", [b"<html>", b"[1]", b"\xff", b'{"choices": []}'])
def test_an_answer_that_cannot_be_read_is_told(body, kind):
    with serving(script=[(200, kind, body)] * 9) as served:
        with pytest.raises(EndpointError, match=r"/v1/.*: .*(not a JSON|no choices|no answer)"):
            client(served, patience=Patience(tries=1)).complete("x")


def test_requests_are_under_way_together_over_kept_connections_and_come_in_order():
    with serving(script=[]) as served:
        waiting = threading.Barrier(4, timeout=20)

        def answer(fields):
            waiting.wait()  # continues only when four requests have arrived
            return {"text": fields["prompt"]}

        served.text = answer
        endpoint = client(served, at_once=4)
        texts = at_once(lambda n: endpoint.complete(str(n))["text"], range(12), endpoint.at_once)
    assert texts == [str(n) for n in range(12)]
    assert served.num_connections <= 4


def test_an_error_of_one_question_begins_no_other():
    begun = []

    def ask(number):
        begun.append(number)
        if number == 1:
            raise EndpointError("no")
        return number

    for num in (1, 2):
        begun.clear()
        with pytest.raises(EndpointError, match="no"):
            at_once(ask, range(1000), num)
        assert len(begun) < 1000


# Keys


def test_the_key_goes_into_the_header_and_nowhere_else(monkeypatch):
    monkeypatch.setenv("SOME_KEY", KEY)
    quoting = {"error": {"message": f"your key {KEY} is odd"}}
    script = [GOOD, (401, {}, quoting), (400, {}, quoting), GOOD]
    with serving(script=script) as served:
        endpoint = client(served, key_variable="SOME_KEY")
        endpoint.complete("x")
        with pytest.raises(EndpointError, match=r"^/v1/completions: status 401\.$"):
            endpoint.complete("x")
        with pytest.raises(EndpointError, match=r"your key \*\*\* is odd"):
            endpoint.complete("x")
        monkeypatch.setenv("SOME_KEY", "sk-renewed")
        endpoint.complete("x")
    keys = [headers["authorization"] for _, headers, _ in served.requests]
    assert keys == [f"Bearer {KEY}"] * 3 + ["Bearer sk-renewed"]
    assert KEY not in str(vars(endpoint))


def test_a_missing_key_is_told_by_its_variable(monkeypatch):
    monkeypatch.delenv("SOME_KEY", raising=False)
    with pytest.raises(ValueError, match="SOME_KEY of the key is not set"):
        Endpoint("http://localhost/v1", "tiny", "SOME_KEY")


def test_a_redirect_is_not_followed(monkeypatch):
    monkeypatch.setenv("SOME_KEY", KEY)
    with serving() as other, serving() as served:
        served.script = [(302, {"Location": other.url}, {}), (307, {"Location": other.url}, {})]
        for status in (302, 307):
            with pytest.raises(EndpointError, match=f"status {status}"):
                client(served, key_variable="SOME_KEY").complete("x")
        assert other.requests == []


def test_addresses_that_cannot_be_or_hold_a_password_are_refused():
    with pytest.raises(ValueError, match="must start with http"):
        Endpoint("localhost:8000/v1", "tiny")
    with pytest.raises(ValueError, match="holds a user or a password") as told_of:
        Endpoint("http://me:secret@localhost/v1", "tiny")
    assert "secret" not in str(told_of.value)


def test_patience_without_end_or_beginning_is_refused():
    with pytest.raises(ValueError, match="tries must be at least 1, got 0"):
        Patience(tries=0)
    with pytest.raises(ValueError, match="timeout must be above 0"):
        Patience(timeout=0)
    with pytest.raises(ValueError, match="at_once must be at least 1, got 0"):
        Endpoint("http://localhost/v1", "tiny", at_once=0)


# Next tokens


def table(**logprobs):
    drawn = max(logprobs, key=logprobs.get)
    return {"logprobs": {"tokens": [drawn], "top_logprobs": [logprobs]}}


def test_both_forms_tell_the_same():
    entries = [{"token": t, "logprob": log(p)} for t, p in (("a", 0.6), ("b", 0.3))]
    lists = {"logprobs": {"content": [{**entries[0], "top_logprobs": entries}]}}
    script = [(200, {}, {"choices": [choice]}) for choice in (table(a=log(0.6), b=log(0.3)), lists)]
    with serving(script=script) as served:
        endpoint = client(served)
        text = next_of_text(endpoint, "x", 2)
        chat = next_of_chat(endpoint, [{"role": "user", "content": "x"}], 2)
    assert text == chat
    assert [candidate.token for candidate in text.candidates] == ["a", "b"]
    assert text.cap == pytest.approx(0.3)
    fields = served.requests[0][2], served.requests[1][2]
    assert [body["max_tokens"] for body in fields] == [1, 1]
    assert fields[0]["logprobs"] == fields[1]["top_logprobs"] == 2


def test_a_drawn_token_below_the_likeliest_does_not_lower_the_cap():
    entries = [Candidate(t, log(p)) for t, p in (("a", 0.5), ("b", 0.2), ("z", 0.001))]
    tokens = listed(entries, "z", 2)
    assert tokens.cap == pytest.approx(0.2)
    assert len(tokens.candidates) == 3


def test_a_list_with_something_missing_has_no_cap():
    entries = [Candidate(t, log(p)) for t, p in (("a", 0.5), ("b", 0.2))]
    assert listed(entries, "a", 3).cap == 1.0
    assert listed(entries, "b", 2).cap == 1.0  # b may be drawn, and another one lost
    assert listed([*entries, Candidate("c", -9999.0)], "a", 3).cap == 1.0


def test_bytes_and_ids_are_read():
    entry = {"token": "\ufffd", "logprob": -0.1, "bytes": [0xC3], "id": 198}
    tokens = parse({"logprobs": {"content": [{**entry, "top_logprobs": [entry]}]}}, 1, "/p")
    assert tokens.candidates == [Candidate("\ufffd", -0.1, b"\xc3", 198)]
    assert tokens.cap == exp(-0.1)


def test_an_ended_text_tells_none_but_a_silent_one_is_an_error():
    assert parse({"finish_reason": "stop", "text": "", "logprobs": None}, 5, "/p").candidates == []
    with pytest.raises(EndpointError, match="/p: the answer has no log-probabilities of 5"):
        parse({"finish_reason": "length", "text": "a", "logprobs": None}, 5, "/p")
    with pytest.raises(EndpointError, match="no log-probabilities"):
        parse({"finish_reason": "stop", "text": "a"}, 5, "/p")
    with pytest.raises(EndpointError, match="unknown form"):
        parse({"logprobs": {"content": [{"top_logprobs": [3]}]}}, 5, "/p")
