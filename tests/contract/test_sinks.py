"""Sinks: the fake and the real ones keep the same contract; each in its own words beyond it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import socket
import stat
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tidegate.adapters.log_sink import LogSink
from tidegate.adapters.prefect_sink import PrefectSink
from tidegate.adapters.webhook_sink import WebhookSink, signature
from tidegate.domain.canonical import canonical
from tidegate.domain.errors import DependencyFailed
from tidegate.testing.contracts.sinks import PATIENCE, SinkContract, told
from tidegate.testing.fakes.sinks import FakeSink
from tidegate.testing.fakes.small import FixedClock

KEY = bytes(range(32))
KEY_TEXT = base64.b64encode(KEY).decode()
SECRET = f"whsec_{KEY_TEXT}"


class Receiver:
    """A real server on loopback. ``answer`` is its status, ``wait`` what it does before it answers."""

    def __init__(self):
        self.requests, self.answer, self.headers, self.wait = [], 204, {}, lambda: None
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                receiver.wait()
                self.send_response(receiver.answer)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                secret = b"the receiver's own secret"
                self.send_header("content-length", "0" if receiver.answer == 204 else str(len(secret)))
                self.end_headers()
                if receiver.answer != 204:
                    self.wfile.write(secret)

            def do_GET(self):
                receiver.requests.append((self.path, {}, b"GET"))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    @property
    def bodies(self):
        return [json.loads(body) for _, _, body in self.requests if body != b"GET"]

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def receiver():
    running = Receiver()
    yield running
    running.close()


@contextmanager
def failing(code):
    with pytest.raises(DependencyFailed) as failure:
        yield failure
    assert failure.value.code == code
    assert KEY_TEXT not in str(failure.value.as_dict())
    assert "receiver's own" not in str(failure.value.as_dict())


class TestFakeSink(SinkContract):
    @pytest.fixture
    def subject(self):
        return FakeSink()

    @pytest.fixture
    def taken(self, subject):
        return lambda: subject.taken

    @pytest.fixture
    def down(self, subject):
        return lambda: setattr(subject, "down", True)

    @pytest.fixture
    def up(self, subject):
        return lambda: setattr(subject, "down", False)


class TestLogSink(SinkContract):
    @pytest.fixture
    def file(self, tmp_path):
        return tmp_path / "outbox" / "events.jsonl"

    @pytest.fixture
    def subject(self, file):
        return LogSink("log", file)

    @pytest.fixture
    def taken(self, file):
        return lambda: [json.loads(line) for line in file.read_bytes().split(b"\n")[:-1]]

    @pytest.fixture
    def down(self, file):
        def away():
            file.rename(file.with_suffix(".kept"))
            file.mkdir()

        return away

    @pytest.fixture
    def up(self, file):
        def back():
            file.rmdir()
            file.with_suffix(".kept").rename(file)

        return back

    def test_only_this_account_reads_it(self, subject, file):
        subject.deliver(told()[0], PATIENCE)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    @pytest.mark.parametrize("torn", [b'{"id":"half', b"{" + b"x" * 200_000, b""])
    def test_a_line_that_a_crash_cut_short_is_in_nobodys_way(self, subject, file, taken, torn):
        first, second, *_ = told()
        subject.deliver(first, PATIENCE)
        with file.open("ab") as log:
            log.write(torn)
        subject.deliver(second, PATIENCE)
        assert taken() == [first, second]

    def test_a_file_of_nothing_but_half_a_line_begins_anew(self, subject, file, taken):
        file.parent.mkdir()
        file.write_bytes(b"x" * 70_000)
        subject.deliver(told()[0], PATIENCE)
        assert taken() == told()[:1]

    def test_a_line_is_on_disk_before_it_counts(self, subject, file, monkeypatch):
        synced = []
        real = os.fsync
        monkeypatch.setattr(
            os, "fsync", lambda handle: (synced.append(os.fstat(handle).st_size), real(handle))
        )
        first, second, *_ = told()
        subject.deliver(first, PATIENCE)
        assert synced[0] == len(canonical(first)) + 1
        assert len(synced) == 2, "the folder too, where the file is new"
        subject.deliver(second, PATIENCE)
        assert synced[2:] == [len(canonical(first)) + len(canonical(second)) + 2]

    def test_a_full_disk_is_one_sentence(self, subject, monkeypatch):
        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "write", full)
        with failing("disk-full"):
            subject.deliver(told()[0], PATIENCE)


class Posting(SinkContract):
    """What holds of every sink that posts over HTTP; ``at`` makes one for an address."""

    @pytest.fixture
    def subject(self, receiver):
        return self.at(f"http://127.0.0.1:{receiver.port}/api")

    @pytest.fixture
    def down(self, receiver):
        return lambda: setattr(receiver, "answer", 503)

    @pytest.fixture
    def up(self, receiver):
        def again():
            receiver.answer = 204
            receiver.requests.pop()  # it kept nothing of what it refused

        return again

    @pytest.mark.parametrize("answer", [200, 201, 202, 204])
    def test_any_2xx_takes_it(self, subject, receiver, answer):
        receiver.answer = answer
        subject.deliver(told()[0], PATIENCE)
        assert len(receiver.requests) == 1

    @pytest.mark.parametrize("answer", [400, 401, 404, 413, 429, 500, 502, 503])
    def test_any_other_status_is_said_and_nothing_of_the_body(self, subject, receiver, answer):
        receiver.answer = answer
        with failing("sink-refused") as failure:
            subject.deliver(told()[0], PATIENCE)
        assert failure.value.sentence == f"got status {answer} from 127.0.0.1, expected 2xx"

    def test_410_says_that_it_wants_to_be_told_nothing_any_more(self, subject, receiver):
        receiver.answer = 410
        with failing("sink-gone"):
            subject.deliver(told()[0], PATIENCE)

    @pytest.mark.parametrize("answer", [301, 302, 303, 307, 308])
    def test_a_redirect_is_not_followed(self, subject, receiver, answer):
        receiver.answer, receiver.headers = answer, {"location": "/elsewhere"}
        with failing("sink-refused") as failure:
            subject.deliver(told()[0], PATIENCE)
        assert "redirects are not followed" in failure.value.sentence
        assert len(receiver.requests) == 1

    def test_nobody_there_is_a_sentence(self):
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
        with failing("sink-unreachable") as failure:
            self.at(f"http://127.0.0.1:{port}/api").deliver(told()[0], PATIENCE)
        assert failure.value.sentence == "got no answer from 127.0.0.1 (Connection refused), expected one"

    def test_a_host_that_nobody_knows_is_a_sentence(self):
        with failing("sink-unreachable"):
            self.at("https://nowhere.invalid/hook").deliver(told()[0], PATIENCE)

    def test_who_is_slow_is_given_up_on_in_time(self, subject, receiver):
        done = threading.Event()
        receiver.wait = done.wait
        begun = time.monotonic()
        with failing("sink-slow") as failure:
            subject.deliver(told()[0], 0.3)
        assert time.monotonic() - begun < 3
        assert (
            failure.value.sentence
            == "got no answer from 127.0.0.1 within 0.3 seconds, expected an answer in time"
        )
        done.set()

    def test_so_is_who_answers_byte_by_byte(self):
        """A socket's own timeout begins anew with every byte."""
        over = threading.Event()

        def drip(connection):
            with connection:
                connection.recv(65536)
                while not over.is_set():
                    try:
                        connection.sendall(b"x")
                    except OSError:
                        return
                    over.wait(0.05)

        with socket.create_server(("127.0.0.1", 0)) as listening:
            thread = threading.Thread(target=lambda: drip(listening.accept()[0]), daemon=True)
            thread.start()
            begun = time.monotonic()
            with failing("sink-slow"):
                self.at(f"http://127.0.0.1:{listening.getsockname()[1]}/api").deliver(told()[0], 0.4)
            assert time.monotonic() - begun < 3
            over.set()
            thread.join()

    def test_who_speaks_no_http_is_a_sentence_without_its_words(self):
        def speak(listening):
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"the receiver's own words\r\n\r\n")

        with socket.create_server(("127.0.0.1", 0)) as listening:
            thread = threading.Thread(target=speak, args=(listening,), daemon=True)
            thread.start()
            with failing("sink-unreachable") as failure:
                self.at(f"http://127.0.0.1:{listening.getsockname()[1]}/api").deliver(told()[0], PATIENCE)
            thread.join()
        assert failure.value.sentence == "got no answer from 127.0.0.1 (BadStatusLine), expected one"

    def test_this_machine_is_not_spoken_to_through_a_proxy(self, subject, receiver, monkeypatch):
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        monkeypatch.delenv("no_proxy", raising=False)
        subject.deliver(told()[0], PATIENCE)
        assert len(receiver.requests) == 1

    @pytest.mark.parametrize(
        ("url", "fault"),
        [
            ("file:///etc/passwd", "no http(s) address"),
            ("https://", "no http(s) address"),
            ("http://[::1", "no http(s) address"),
            ("https://host:port/", "no http(s) address"),
            ("https://host/\r\nx-evil: 1", "no http(s) address"),
            ("https://hóst/", "no http(s) address"),
            ("https://ada:hunter2@host/", "a user or password in it"),
            ("https://hunter2@host/", "a user or password in it"),
        ],
    )
    def test_an_address_that_is_none_is_refused_and_not_repeated(self, url, fault):
        with failing("sink-address") as failure:
            self.at(url).deliver(told()[0], PATIENCE)
        assert fault in failure.value.sentence
        assert "hunter2" not in str(failure.value.as_dict())
        assert "evil" not in str(failure.value.as_dict())

    def test_no_address_is_said(self):
        with failing("sink-address"):
            self.at("").deliver(told()[0], PATIENCE)


class TestWebhookSink(Posting):
    def at(self, url, secret=SECRET):
        return WebhookSink("pager", url, secret, FixedClock())

    @pytest.fixture
    def taken(self, receiver):
        return lambda: receiver.bodies

    def test_a_receiver_can_tell_that_it_comes_from_us(self, subject, receiver):
        event = told()[5]
        subject.deliver(event, PATIENCE)
        ((path, headers, body),) = receiver.requests
        assert path == "/api"
        assert headers["webhook-id"] == event["id"]
        assert headers["webhook-timestamp"] == "1577836800"
        assert headers["content-type"] == "application/cloudevents+json"
        assert json.loads(body) == event
        assert standard_webhooks_verify(SECRET, headers, body)
        assert not standard_webhooks_verify(SECRET, headers, body.replace(b"tidegate", b"tideGate", 1))
        assert not standard_webhooks_verify(SECRET, {**headers, "webhook-timestamp": "1577836801"}, body)
        assert not standard_webhooks_verify(SECRET, {**headers, "webhook-id": "sha256:0"}, body)
        assert not standard_webhooks_verify(f"whsec_{base64.b64encode(b'y' * 32).decode()}", headers, body)

    def test_the_standards_published_example_is_signed_as_it_says(self):
        key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        signed = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
        assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

    def test_while_a_secret_is_replaced_both_sign(self, receiver):
        other = f"whsec_{base64.b64encode(b'z' * 24).decode()}"
        self.at(f"http://127.0.0.1:{receiver.port}/", f"{SECRET} {other}").deliver(told()[0], PATIENCE)
        ((_, headers, body),) = receiver.requests
        assert standard_webhooks_verify(SECRET, headers, body)
        assert standard_webhooks_verify(other, headers, body)

    @pytest.mark.parametrize(
        ("secret", "got"),
        [
            ("", "no secret"),
            ("hunter2", "an unfit secret"),
            ("whsec_", "an unfit secret"),
            ("whsec_not base64!", "an unfit secret"),
            ("whsec_c2hvcnQ=", "an unfit secret"),
            (f"whsec_{base64.b64encode(b'x' * 65).decode()}", "an unfit secret"),
            (f"{SECRET} hunter2", "an unfit secret"),
        ],
    )
    def test_an_unfit_secret_is_named_and_nothing_is_sent(self, receiver, secret, got):
        with failing("sink-secret") as failure:
            self.at(f"http://127.0.0.1:{receiver.port}/", secret).deliver(told()[0], PATIENCE)
        assert got in failure.value.sentence
        assert "hunter2" not in str(failure.value.as_dict())
        assert receiver.requests == []

    @pytest.mark.parametrize(
        "host", ["hooks.example.org", "10.0.0.1", "127.0.0.1.example.org", "localhost.example"]
    )
    def test_plain_http_never_leaves_this_machine(self, host):
        with failing("sink-address") as failure:
            self.at(f"http://{host}/hook").deliver(told()[0], PATIENCE)
        assert failure.value.sentence.startswith(f"got plain http to {host} ")

    def test_a_certificate_that_nobody_vouches_for_is_refused(self, tls_port):
        with failing("sink-unreachable") as failure:
            self.at(f"https://localhost:{tls_port}/").deliver(told()[0], PATIENCE)
        assert "certificate verify failed" in failure.value.sentence


class TestPrefectSink(Posting):
    def at(self, url, **more):
        return PrefectSink("prefect", url, **more)

    @pytest.fixture
    def taken(self, receiver):
        """As the server: an id that it has already is the same event."""

        def read():
            sent = {each["id"]: each["payload"] for body in receiver.bodies for each in body}
            return list(sent.values())

        return read

    def test_it_says_what_happened_to_what_in_prefects_words(self, subject, receiver):
        event = told()[5]
        subject.deliver(event, PATIENCE)
        ((path, headers, body),) = receiver.requests
        (sent,) = json.loads(body)
        assert path == "/api/events"
        assert "authorization" not in headers
        assert sent["event"] == event["type"] == "tidegate.actor.added"
        assert sent["occurred"] == event["time"]
        assert sent["resource"]["prefect.resource.id"] == "tidegate.actors"
        assert sent["payload"] == event

    def test_it_shows_what_the_server_asks_for_and_says_neither_in_an_error(self, receiver):
        url = f"http://127.0.0.1:{receiver.port}/api"
        self.at(url, key="pnu_hunter2").deliver(told()[0], PATIENCE)
        self.at(url, key="pnu_hunter2", auth="ada:hunter2").deliver(told()[0], PATIENCE)
        sent = [headers["authorization"] for _, headers, _ in receiver.requests]
        assert sent == ["Bearer pnu_hunter2", f"Basic {base64.b64encode(b'ada:hunter2').decode()}"]
        receiver.answer = 401
        with failing("sink-refused") as failure:
            self.at(url, key="pnu_hunter2").deliver(told()[0], PATIENCE)
        assert "hunter2" not in str(failure.value.as_dict())

    def test_without_the_address_of_a_server_it_says_so(self):
        with failing("sink-address") as failure:
            self.at("").deliver(told()[0], PATIENCE)
        assert "PREFECT_API_URL" in failure.value.sentence


def standard_webhooks_verify(secret, headers, body):
    """Verify as a receiver does, from the specification's words and without our code."""
    key = base64.b64decode(secret.split("_", 1)[1])
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    versions = [each.split(",", 1) for each in headers["webhook-signature"].split(" ")]
    return any(version == "v1" and hmac.compare_digest(given, wanted) for version, given in versions)


@pytest.fixture
def tls_port(tmp_path):
    """A server whose certificate is its own."""
    import ssl
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = tmp_path / "server.pem"
    file.write_bytes(private + made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)

    def greet(listening):
        connection, _ = listening.accept()
        with connection, suppress(OSError):  # the other side hangs up, as it should
            context.wrap_socket(connection, server_side=True).close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=greet, args=(listening,), daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(timeout=10)
