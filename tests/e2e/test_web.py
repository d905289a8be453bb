"""The web configuration file: TLS, client certificates, users and headers, beside Debian's Prometheus on the same file."""

import base64
import crypt
import http.client
import json
import ssl
import subprocess
import unittest
import warnings

from harness import PEERS, REBA, Scratch, free_offset, free_port, promtool, reba, wait_until

warnings.filterwarnings("ignore", category=DeprecationWarning)


def openssl(*arguments):
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


class Server:
    """A program that may speak TLS; whoever asks brings certificate and password."""

    def __init__(self, scratch, name, line, port):
        self.port, self.folder = port, scratch.sub(name)
        log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen(line, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def ask(self, ca=None, cert=None, user=None, path="/-/ready"):
        """Status and headers; None if no connection comes about."""
        try:
            if ca:
                context = ssl.create_default_context(cafile=str(ca))
                if cert:
                    context.load_cert_chain(*map(str, cert))
                connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10, context=context)
            else:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            headers = {"Authorization": "Basic " + base64.b64encode(user.encode()).decode()} if user else {}
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
            return answer.status, dict(answer.getheaders()), body
        except (OSError, http.client.HTTPException):
            return None


class Web(unittest.TestCase):
    def setUp(self):
        self.scratch = Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.servers = []
        self.addCleanup(self.stop)
        self.pki = self.scratch.sub("conf")
        self.authority("ca")
        self.certificate("server", "ca")
        self.certificate("client", "ca")
        self.authority("other")
        self.certificate("stranger", "other")

    def stop(self):
        for server in self.servers:
            server.process.kill()
            server.process.wait()

    def authority(self, name):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                f"/CN={name}", "-keyout", str(self.pki / f"{name}.key"), "-out", str(self.pki / f"{name}.crt"))

    def certificate(self, name, authority):
        key, request, extra = (str(self.pki / f"{name}.{e}") for e in ["key", "csr", "ext"])
        (self.pki / f"{name}.ext").write_text("subjectAltName=IP:127.0.0.1\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                "-keyout", key, "-out", request)
        openssl("x509", "-req", "-days", "2", "-in", request, "-CA", str(self.pki / f"{authority}.crt"), "-CAkey",
                str(self.pki / f"{authority}.key"), "-CAcreateserial", "-extfile", extra, "-out",
                str(self.pki / f"{name}.crt"))

    def pair(self, name):
        return self.pki / f"{name}.crt", self.pki / f"{name}.key"

    def start(self, web):
        """Reba and Prometheus with this web configuration."""
        path = self.scratch.write("conf/web.yml", web)
        code, out = promtool("check", "web-config", str(path))
        self.assertEqual(code, 0, out)
        self.scratch.write("conf/reba.yml", "web: {config_file: web.yml}\n")
        code, out, err = reba("check", "--config", str(self.pki))
        self.assertEqual(code, 0, out + err)
        offset = free_offset()
        ours = Server(self.scratch, "ours", [str(REBA), "run", "--config", str(self.pki), "--data",
                      str(self.scratch.sub("data")), "--port-offset", str(offset)], 9090 + offset)
        port, empty = free_port(), self.scratch.write("empty.yml", "{}\n")
        theirs = Server(self.scratch, "theirs", [
            str(PEERS / "prometheus"), f"--config.file={empty}", f"--storage.tsdb.path={self.scratch.sub('tsdb')}",
            f"--web.config.file={path}", f"--web.listen-address=127.0.0.1:{port}"], port)
        self.servers = [ours, theirs]
        return ours, theirs

    def statuses(self, server, cases):
        return [(server.ask(**case) or (None,))[0] for case in cases]

    def test_users_headers_and_certificates_work_as_in_prometheus(self):
        secret = crypt.crypt("se:cret", "$2b$04$" + "a" * 22)
        ours, theirs = self.start(f"""
tls_server_config:
  cert_file: server.crt
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.crt
http_server_config:
  headers: {{X-Frame-Options: deny, Strict-Transport-Security: max-age=60}}
basic_auth_users: {{alice: '{secret}'}}
""")
        ca, client = self.pki / "ca.crt", self.pair("client")
        right = {"ca": ca, "cert": client, "user": "alice:se:cret"}
        cases = [right, {**right, "user": "alice:wrong"}, {**right, "user": "bob:se:cret"}, {**right, "user": None},
                 {**right, "cert": None}, {**right, "cert": self.pair("stranger")}, {**right, "ca": self.pki / "other.crt"}]
        for server in (ours, theirs):
            wait_until(lambda s=server: (s.ask(**right) or [0])[0] == 200, 30, "it answers")
        want = [200, 401, 401, 401, None, None, None]
        self.assertEqual(self.statuses(ours, cases), want)
        self.assertEqual(self.statuses(theirs, cases), want)
        for case in (right, {**right, "user": None}):
            names = ["X-Frame-Options", "Strict-Transport-Security", "Www-Authenticate"]
            found = [{n.title(): v for n, v in s.ask(**case)[1].items()} for s in (ours, theirs)]
            self.assertEqual(*[{n: f.get(n) for n in names} for f in found])
        # Without TLS there is nothing to hear.
        self.assertNotEqual((ours.ask(user="alice:se:cret") or [None])[0], 200)
        flags = json.loads(ours.ask(**right, path="/api/v1/status/flags")[2])["data"]
        self.assertTrue(flags["web.config.file"].endswith("web.yml"))
        self.assertTrue(flags["web.external-url"].startswith("https://"))

    def test_commands_ask_over_tls_as_somebody(self):
        secret = crypt.crypt("se:cret", "$2b$04$" + "a" * 22)
        ours, _ = self.start("tls_server_config: {cert_file: server.crt, key_file: server.key}\n"
                             f"basic_auth_users: {{alice: '{secret}'}}\n")
        wait_until(lambda: (ours.ask(ca=self.pki / "ca.crt", user="alice:se:cret") or [0])[0] == 200, 30, "it answers")
        url, trust = f"https://127.0.0.1:{ours.port}", {"SSL_CERT_FILE": str(self.pki / "ca.crt")}
        loki = f"https://127.0.0.1:{ours.port - 9090 + 3100}"
        known = {**trust, "REBA_USER": "alice:se:cret"}
        code, out, err = reba("query", "promql", "vector(1)", "--url", url, **known)
        self.assertEqual((code, "{}" in out), (0, True), out + err)
        self.assertEqual(reba("query", "promql", "vector(1)", "--url", url, "--user", "alice:se:cret", **trust)[0], 0)
        for words in (["tail", "--no-follow"], ["tail"], ["query", "logql", '{a="b"}']):
            code, _, err = reba(*words, "--url", loki, **trust)
            self.assertEqual((code, "401" in err and "REBA_USER" in err), (1, True), err)
        self.assertEqual(reba("tail", "--no-follow", "--url", loki, **known)[0], 0)
        # Whoever is not known learns what runs, and nothing of it.
        code, out, err = reba("status", "--url", url, **trust)
        self.assertRegex(out, r"prometheus +\S+ +locked", err)
        code, out, err = reba("status", "--url", url, **known)
        self.assertRegex(out, r"prometheus +\S+ +ready +up ", err)
        for wrong in ({}, {"REBA_USER": "alice:wrong", **trust}):
            code, out, err = reba("query", "promql", "vector(1)", "--url", url, **wrong)
            self.assertEqual((code, out, "se:cret" in err), (1, "", False), err)

    def test_a_new_certificate_is_used_without_a_restart(self):
        ours, _ = self.start("tls_server_config: {cert_file: server.crt, key_file: server.key}\n")
        first, second = self.pki / "ca.crt", self.pki / "other.crt"
        wait_until(lambda: (ours.ask(ca=first) or [0])[0] == 200, 30, "it answers")
        self.assertIsNone(ours.ask(ca=second))
        self.certificate("server", "other")
        self.assertEqual(ours.ask(ca=second)[0], 200)
        self.assertIsNone(ours.ask(ca=first))
        # A broken file leaves the last one that was right in force.
        (self.pki / "server.crt").write_text("nonsense")
        self.assertEqual(ours.ask(ca=second)[0], 200)

    def test_a_wrong_file_is_refused_at_the_start(self):
        self.scratch.write("conf/web.yml", "basic_auth_users: {alice: plain}\n")
        self.scratch.write("conf/reba.yml", "web: {config_file: web.yml}\n")
        code, out, _ = reba("check", "--config", str(self.pki))
        self.assertEqual((code, "no bcrypt hash" in out), (1, True), out)
        code, _, err = reba("run", "--config", str(self.pki), "--data", str(self.scratch.sub("d")),
                            "--port-offset", str(free_offset()))
        self.assertEqual((code, "no bcrypt hash" in err), (2, True), err)


if __name__ == "__main__":
    unittest.main()
