"""The role alertmanager alone: its API beside Debian's Alertmanager, amtool, notifications beside Debian's, faults and kills."""

import base64
import crypt
import datetime
import json
import os
import pathlib
import subprocess
import time
import unittest

from harness import PEERS, REBA, Http, Program, Scratch, free_port, reba, wait_until
from recorder import Mail, Recorder

HAS_PEER = (PEERS / "prometheus-alertmanager").exists() and os.path.isdir("/usr/share/prometheus/alertmanager")
JSON = {"Content-Type": "application/json"}


def config(route, receivers, rest=""):
    return f"global: {{smtp_require_tls: false}}\nroute: {json.dumps(route)}\nreceivers: {json.dumps(receivers)}\n{rest}"


def start(scratch, text, name="reba"):
    folder = scratch.sub(f"{name}-config/alertmanager")
    (folder / "alertmanager.yml").write_text(text)
    program = scratch.reba("--only", "alertmanager", port=9093, config=folder.parent, name=name)
    program.file = folder / "alertmanager.yml"
    return program


def iso(seconds=0.0):
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return at.isoformat().replace("+00:00", "Z")


def post(server, *alerts, resolved=False):
    """Posts alerts as Prometheus does, each a dictionary of labels."""
    ends = iso() if resolved else iso(3600)
    body = [{"labels": labels, "annotations": {"summary": "s"}, "endsAt": ends} for labels in alerts]
    status, _, answer = server.raw("/api/v2/alerts", data=json.dumps(body).encode(), headers=JSON)
    assert status == 200, (status, answer)


def names(alerts, status):
    return sorted(a["labels"]["alertname"] for a in alerts if a["status"] == status)


def summary(note):
    """What a notification says, without times and addresses."""
    return note["groupKey"], note["status"], names(note["alerts"], "firing"), names(note["alerts"], "resolved")


def amtool(server, *arguments):
    line = [str(PEERS / "amtool"), f"--alertmanager.url={server.base}", "--no-version-check", *arguments]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


class Api(unittest.TestCase):
    """Answers of the API; where Debian's Alertmanager is there, the same requests go to it."""

    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        receivers = [{"name": "r"}, {"name": "q", "webhook_configs": [{"url": "http://127.0.0.1:1/secret-token"}]}]
        route = {"receiver": "r", "group_by": ["a"], "group_wait": "1h",
                 "routes": [{"receiver": "q", "matchers": ['s="x"'], "group_by": ["alertname"]}]}
        cls.text = config(route, receivers, 'inhibit_rules: [{source_matchers: [alertname="Src"], target_matchers: [alertname="Tgt"]}]\n')
        cls.text = cls.text.replace("global: {smtp_require_tls: false}\n", "")
        cls.reba = start(cls.scratch, cls.text)
        cls.servers = [cls.reba]
        if HAS_PEER:
            cls.servers.append(cls.scratch.alertmanager(cls.scratch.write("peer.yml", cls.text)))

    @classmethod
    def tearDownClass(cls):
        cls.scratch.__exit__()

    def same(self, path, params=None, data=None, method=None, headers=None):
        """Status and body of ours; the same as the peer's."""
        data = data.encode() if data is not None else None
        answers = [s.raw(path, params, data=data, method=method, headers=headers) for s in self.servers]
        plain = [(status, body.decode().strip()) for status, _, body in answers]
        if len(plain) == 2:
            self.assertEqual(plain[0], plain[1], path)
        return plain[0]

    def test_refusals_are_upstreams_word_for_word(self):
        for path, data, headers in [
            ("alerts", '[{"labels":{}}]', JSON),
            ("alerts", '[{"annotations":{"x":"y"}}]', JSON),
            ("alerts", '[{"labels":{"a":"x"},"startsAt":"2026-11-23T10:00:00Z","endsAt":"2026-11-23T09:00:00Z"},{"labels":{}}]', JSON),
            ("alerts", '[{"labels":{"a":"1"},"generatorURL":"not a url"}]', JSON),
            ("alerts", "[]", {"Content-Type": "text/plain"}),
            ("alerts", "[]", JSON),
            ("silences", '{"matchers":[],"startsAt":"2026-11-23T10:00:00Z","endsAt":"2099-11-23T10:00:00Z","createdBy":"m","comment":"c"}', JSON),
            ("silences", '{"startsAt":"2026-11-23T10:00:00Z"}', JSON),
            ("silences", '{"matchers":[{"name":"a","value":"","isRegex":false}],"startsAt":"2026-11-23T10:00:00Z",'
                         '"endsAt":"2099-11-23T10:00:00Z","createdBy":"m","comment":"c"}', JSON),
            ("silences", '{"matchers":[{"name":"a","value":"b","isRegex":false}],"startsAt":"2020-11-23T10:00:00Z",'
                         '"endsAt":"2020-11-22T10:00:00Z","createdBy":"m","comment":"c"}', JSON),
            ("silences", '{"matchers":[{"name":"a","value":"b","isRegex":false}],"startsAt":"2020-11-23T10:00:00Z",'
                         '"endsAt":"2020-11-24T10:00:00Z","createdBy":"m","comment":"c"}', JSON),
            ("silences", '{"id":"00000000-0000-0000-0000-000000000000","matchers":[{"name":"a","value":"b","isRegex":false}],'
                         '"startsAt":"2026-11-23T10:00:00Z","endsAt":"2099-11-22T10:00:00Z","createdBy":"m","comment":"c"}', JSON),
        ]:
            with self.subTest(path=path, data=data):
                self.same(f"/api/v2/{path}", data=data, headers=headers)
        for path, params in [
            ("alerts", {"filter": "alertname"}), ("alerts", {"active": "maybe", "filter": "zz=1"}),
            ("silence/x", None), ("silence/00000000-0000-0000-0000-000000000000", None), ("nope", None), ("receivers", None),
        ]:
            with self.subTest(path=path, params=params):
                self.same(f"/api/v2/{path}", params)
        status, body = self.same("/-/reload", method="POST")
        self.assertEqual((status, body), (200, ""))
        self.assertEqual(self.reba.raw("/-/reload")[0], 405)
        self.assertEqual(self.reba.raw("/api/v2/alerts", method="DELETE")[0], 405)
        self.assertEqual(self.reba.raw("/api/v1/alerts")[0], 410)
        for path in ("/-/healthy", "/-/ready"):
            self.assertEqual(self.same(path), (200, "OK"))

    def test_alerts_and_groups_have_upstreams_shape(self):
        for server in self.servers:
            post(server, {"alertname": "Src", "a": "1", "empty": ""}, {"alertname": "Tgt", "s": "x"})

        def bare(path, **params):
            answers = []
            for server in self.servers:
                _, _, body = server.raw(f"/api/v2/{path}", params)
                answers.append(self.without_times(json.loads(body)))
            if len(answers) == 2:
                self.assertEqual(*answers)
            return answers[0]

        both = {"filter": ['alertname=~"Src|Tgt"']}
        by_name = {a["labels"]["alertname"]: a for a in bare("alerts", **both)}
        self.assertEqual(by_name["Tgt"]["status"]["state"], "suppressed")
        self.assertEqual(by_name["Tgt"]["status"]["inhibitedBy"], [by_name["Src"]["fingerprint"]])
        self.assertEqual(by_name["Src"]["labels"], {"alertname": "Src", "a": "1"})
        self.assertEqual([a["labels"]["alertname"] for a in bare("alerts", inhibited="false", **both)], ["Src"])
        self.assertEqual([a["labels"]["alertname"] for a in bare("alerts", receiver="q", **both)], ["Tgt"])
        self.assertEqual(len(bare("alerts/groups", **both)), 2)

    def without_times(self, value):
        """Also without mutedBy, which came later than the peer's version."""
        if isinstance(value, list):
            return [self.without_times(v) for v in value]
        if isinstance(value, dict):
            gone = ("startsAt", "endsAt", "updatedAt", "mutedBy")
            return {k: self.without_times(v) for k, v in value.items() if k not in gone}
        return value

    def test_the_status_hides_secrets_and_the_page_executes_nothing_of_strangers(self):
        _, headers, body = self.reba.raw("/api/v2/status")
        status = json.loads(body)
        self.assertEqual(status["cluster"]["status"], "disabled")
        self.assertTrue(status["versionInfo"]["version"].startswith("0.26."))
        self.assertEqual(headers["Cache-Control"], "no-store")
        self.assertIn("group_wait", status["config"]["original"])
        code, headers, page = self.reba.raw("/")
        self.assertIn("script-src 'self'", headers["Content-Security-Policy"])
        self.assertIn(b"#/silences", page)
        _, _, metrics = self.reba.raw("/metrics")
        for name in ("alertmanager_alerts{", "alertmanager_notifications_total{", "alertmanager_config_hash ", "alertmanager_silences{",
                     "alertmanager_http_request_duration_seconds_bucket{", "process_start_time_seconds "):
            self.assertIn(name, metrics.decode())

    def test_a_page_from_elsewhere_may_not_silence_anything(self):
        status, _, _ = self.reba.raw("/api/v2/silences", data=b"{}", headers={**JSON, "Origin": "https://elsewhere.example"})
        self.assertEqual(status, 403)

    def test_our_own_commands_silence_and_list(self):
        post(self.reba, {"alertname": "Mine", "team": "cli"})
        code, out, err = reba("alerts", "list", "Mine", "--url", self.reba.base)
        self.assertEqual(code, 0, err)
        self.assertRegex(out, r"Mine +active")
        code, sid, err = reba("silence", "add", "Mine", "team=cli", "--for", "10m", "--comment", "test", "--url", self.reba.base)
        self.assertEqual(code, 0, err)
        self.assertRegex(reba("alerts", "list", "Mine", "--url", self.reba.base)[1], r"Mine +silenced")
        self.assertIn(sid.strip(), reba("silence", "list", "--url", self.reba.base)[1])
        self.assertEqual(reba("silence", "expire", sid.strip(), "--url", self.reba.base)[0], 0)
        self.assertRegex(reba("alerts", "list", "Mine", "--url", self.reba.base)[1], r"Mine +active")
        code, sid, err = reba("silence", "add", "Mine", "--every", "saturday", "--at", "22:00", "--for", "4h", "--in", "Africa/Kigali",
                              "--comment", "backups", "--url", self.reba.base)
        self.assertEqual(code, 0, err)
        self.assertIn("saturday 22:00", reba("silence", "list", "--url", self.reba.base)[1])
        self.assertEqual(reba("silence", "expire", sid.strip(), "--url", self.reba.base)[0], 0)
        self.assertEqual(reba("silence", "expire", sid.strip(), "--url", self.reba.base)[0], 1)

    @unittest.skipUnless((PEERS / "amtool").exists(), "amtool is not there")
    def test_amtool_works(self):
        def ok(*arguments):
            code, out = amtool(self.reba, *arguments)
            self.assertEqual(code, 0, f"{arguments}: {out}")
            return out
        ok("alert", "add", "Amtool", "severity=page", "--annotation=summary=hello")
        self.assertIn("Amtool", ok("alert", "query", "alertname=Amtool"))
        self.assertIn("Amtool", ok("alert"))
        sid = ok("silence", "add", "alertname=Amtool", "severity=~pa.*", "-c", "why", "-a", "me", "-d", "1h").strip()
        self.assertIn(sid, ok("silence", "query", "alertname=Amtool"))
        self.assertNotIn("Amtool", ok("alert", "query", "alertname=Amtool"))
        self.assertIn("Amtool", ok("alert", "query", "-s", "alertname=Amtool"))
        ok("silence", "update", "-d", "3h", sid)
        ok("silence", "expire", sid)
        self.assertIn(sid, ok("silence", "query", "--expired", "-q"))
        self.assertRegex(ok("config", "show"), 'receiver: "?q"?')
        self.assertIn("receiver: q", ok("config", "routes", "show"))
        self.assertEqual(ok("config", "routes", "test", "s=x").strip(), "q")
        self.assertEqual(amtool(self.reba, "config", "routes", "test", "--verify.receivers=q", "s=y")[0], 1)
        self.assertIn("disabled", ok("cluster", "show"))
        done = subprocess.run([str(PEERS / "amtool"), "check-config", str(self.reba.file)], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


@unittest.skipUnless(HAS_PEER, "Debian's Alertmanager or its templates are not there")
class Differential(unittest.TestCase):
    """The same configuration and the same alerts make the same notifications as Debian's Alertmanager."""

    def test_the_same_alerts_make_the_same_notifications(self):
        recorder = Recorder()
        self.addCleanup(recorder.stop)
        with Scratch() as scratch:
            servers = {"ours": start(scratch, self.text(recorder, "ours"))}
            servers["theirs"] = scratch.alertmanager(scratch.write("peer.yml", self.text(recorder, "theirs")))
            self.scenario(servers, recorder)
            for receiver in ("page", "audit", "rest"):
                heard = [[summary(n) for n in recorder.at(f"/{who}/{receiver}")] for who in ("ours", "theirs")]
                self.assertEqual(self.by_group(heard[0]), self.by_group(heard[1]), receiver)
                self.assertTrue(heard[0], receiver)

    @staticmethod
    def text(recorder, who):
        receiver = lambda name, **more: {"name": name, "webhook_configs": [{"url": f"{recorder.url}/{who}/{name}", **more}]}
        route = {"receiver": "rest", "group_by": ["team"], "group_wait": "1s", "group_interval": "2s", "repeat_interval": "1h", "routes": [
            {"receiver": "audit", "matchers": ['severity=~"page|warn"'], "continue": True, "group_by": ["severity"]},
            {"receiver": "page", "matchers": ['severity="page"'], "group_by": ["team", "severity"]},
        ]}
        receivers = [receiver("rest"), receiver("audit", send_resolved=False), receiver("page")]
        return config(route, receivers,
                      "inhibit_rules: [{source_matchers: [severity=page], target_matchers: [severity=warn], equal: [team]}]\n")

    @staticmethod
    def by_group(notes):
        groups = {}
        for key, *rest in notes:
            groups.setdefault(key, []).append(rest)
        return groups

    def scenario(self, servers, recorder):
        both = list(servers.values())

        def heard(receiver, firing, resolved=()):
            def check():
                for who in servers:
                    notes = [summary(n) for n in recorder.at(f"/{who}/{receiver}")]
                    assert any(f == list(firing) and r == list(resolved) for _, _, f, r in notes), (who, notes)
                return True
            wait_until(check, 20, f"{receiver} hears of {firing}, {resolved}")

        def say(*alerts, resolved=False):
            for server in both:
                post(server, *alerts, resolved=resolved)

        page = lambda name, team="a": {"alertname": name, "team": team, "severity": "page", "instance": "1"}
        warn = lambda name, team="a": {"alertname": name, "team": team, "severity": "warn"}
        say(page("P1"), page("P2"))
        heard("page", ["P1", "P2"])
        heard("audit", ["P1", "P2"])
        # W1 is inhibited by the pages of its team, W2 is not.
        say(warn("W1"), warn("W2", "b"))
        heard("audit", ["W2"])
        say(page("P3"))
        heard("page", ["P1", "P2", "P3"])
        say(page("P1"), resolved=True)
        heard("page", ["P2", "P3"], ["P1"])
        silence = {"matchers": [{"name": "alertname", "value": "S.*", "isRegex": True}], "startsAt": iso(), "endsAt": iso(3600),
                   "createdBy": "t", "comment": "t"}
        for server in both:
            server.raw("/api/v2/silences", data=json.dumps(silence).encode(), headers=JSON)
        say({"alertname": "S1", "team": "s"}, {"alertname": "N1", "team": "s"})
        heard("rest", ["N1"])
        say(page("P2"), page("P3"), resolved=True)
        heard("page", [], ["P2", "P3"])
        # The source is gone: W1 is told of at its group's next tick.
        heard("audit", ["W1", "W2"])
        say({"alertname": "N1", "team": "s"}, resolved=True)
        heard("rest", [], ["N1"])


class Faults(unittest.TestCase):
    def setUp(self):
        self.recorder, self.mail, self.scratch = Recorder(), Mail(), Scratch()
        for part in (self.recorder.stop, self.mail.stop, self.scratch.__exit__):
            self.addCleanup(part)

    def hook(self, name, **more):
        return {"name": name, "webhook_configs": [{"url": f"{self.recorder.url}/{name}", **more}]}

    def test_receivers_that_fail_delay_nobody_and_nothing_is_forgotten(self):
        kinds = ["good", "hangs", "fails", "template", "mail"]
        routes = [{"receiver": kind, "continue": True, "matchers": ["alertname=~.+"]} for kind in kinds]
        route = {"receiver": "good", "group_by": ["alertname"], "group_wait": "1s", "group_interval": "2s", "repeat_interval": "1h",
                 "routes": routes}
        receivers = [self.hook("good"), self.hook("hangs"), self.hook("fails"),
                     {"name": "template", "slack_configs": [{"api_url": f"{self.recorder.url}/template", "channel": "c",
                                                             "text": "{{ index .Alerts 100 }}"}]},
                     {"name": "mail", "email_configs": [{"to": "a@x.example", "from": "b@x.example", "smarthost": self.mail.address}]}]
        self.recorder.behave("/hangs", "hang")
        self.recorder.behave("/fails", 500)
        self.mail.drops = True
        reba = start(self.scratch, config(route, receivers))
        post(reba, {"alertname": "A"})
        wait_until(lambda: self.recorder.at("/good"), 15, "the good one hears of A")
        wait_until(lambda: self.recorder.at("/fails", 500) and self.recorder.at("/hangs", "hang") and self.mail.tries, 15, "all were tried")
        # While the others are stuck, the good one hears of new things as fast as ever.
        post(reba, {"alertname": "B"})
        wait_until(lambda: len(self.recorder.at("/good")) == 2, 15, "the good one hears of B")
        self.assertEqual((self.recorder.at("/hangs"), self.recorder.at("/fails"), self.mail.mails), ([], [], []))
        self.recorder.behave("/hangs", "ok")
        self.recorder.behave("/fails", "ok")
        self.mail.drops = False
        for path in ("/hangs", "/fails"):
            wait_until(lambda: {n["groupLabels"]["alertname"] for n in self.recorder.at(path)} == {"A", "B"}, 60, f"{path} hears of both")
        wait_until(lambda: len(self.mail.mails) == 2, 60, "both mails arrive")
        _, _, metrics = reba.raw("/metrics")
        failed = [l for l in metrics.decode().splitlines() if l.startswith('alertmanager_notifications_failed_total{integration="slack"')]
        self.assertGreater(sum(float(l.split()[-1]) for l in failed), 0)
        _, _, body = reba.raw("/api/v2/reba/events")
        outcomes = {e["outcome"] for e in json.loads(body)["events"] if e["event"] == "notification"}
        self.assertLessEqual({"delivered", "failed"}, outcomes)

    def test_ten_thousand_alerts_at_once_are_told_within_a_group_interval(self):
        groups = int(os.environ.get("REBA_STORM_GROUPS", 500))
        route = {"receiver": "all", "group_by": ["group"], "group_wait": "5s", "group_interval": "60s"}
        reba = start(self.scratch, config(route, [self.hook("all")]))
        alerts = [{"alertname": "Storm", "group": str(n % groups), "instance": str(n)} for n in range(10_000)]
        began = time.monotonic()
        post(reba, *alerts)

        def told():
            found = set()
            for note in self.recorder.at("/all"):
                found |= {a["labels"]["instance"] for a in note["alerts"]}
            return len(found) == 10_000
        wait_until(told, 60, "all are told")
        seconds = max(self.recorder.times("/all")) - began
        self.assertEqual(len(self.recorder.at("/all")), groups)
        status = pathlib.Path(f"/proc/{reba.process.pid}/status").read_text()
        resident = int(next(l for l in status.splitlines() if l.startswith("VmRSS")).split()[1])
        print(f"10000 alerts in {groups} groups: all told {seconds:.1f} s after they came (group_wait 5 s), {resident // 1024} MiB resident")
        self.assertLess(resident, 400_000, "kB")
        code, _, body = reba.raw("/api/v2/alerts", {"filter": 'group="0"'})
        self.assertEqual(len(json.loads(body)), 10_000 // groups)

    def test_a_kill_before_the_notification_loses_nothing(self):
        route = {"receiver": "all", "group_by": ["alertname"], "group_wait": "3s", "group_interval": "2s", "repeat_interval": "1h"}
        reba = start(self.scratch, config(route, [self.hook("all")]))
        post(reba, {"alertname": "A"})
        reba.kill()
        self.assertEqual(self.recorder.at("/all"), [])
        reba.start()
        # Its sender says it again, as Prometheus does.
        post(reba, {"alertname": "A"})
        wait_until(lambda: self.recorder.at("/all"), 20, "the receiver hears of it")
        self.quiet(reba, 1)

    def test_a_kill_between_the_notification_and_its_record_costs_one_duplicate_at_most(self):
        route = {"receiver": "all", "group_by": ["alertname"], "group_wait": "1s", "group_interval": "2s", "repeat_interval": "1h"}
        reba = start(self.scratch, config(route, [self.hook("all")]))
        # The receiver has taken it, and Reba dies before it hears so.
        self.recorder.behave("/all", lambda: reba.process.kill())
        post(reba, {"alertname": "A"})
        reba.process.wait(30)
        self.assertEqual(len(self.recorder.at("/all", None)), 1)
        self.recorder.behave("/all", "ok")
        reba.start()
        post(reba, {"alertname": "A"})
        wait_until(lambda: self.recorder.at("/all"), 20, "it is sent again")
        self.quiet(reba, 1)
        # Once it is recorded, not even a kill makes it come a third time.
        reba.kill()
        reba.start()
        post(reba, {"alertname": "A"})
        self.quiet(reba, 1)

    def quiet(self, reba, count):
        """Another alert goes all the way, and A has been told of no more than `count` times."""
        fence = f"Fence{len(self.recorder.posts)}"
        post(reba, {"alertname": fence})
        heard = lambda name: [n for n in self.recorder.at("/all") if n["groupLabels"]["alertname"] == name]
        wait_until(lambda: heard(fence), 20, "the fence is heard of")
        post(reba, {"alertname": fence}, resolved=True)
        wait_until(lambda: len(heard(fence)) == 2, 20, "the fence is resolved")
        self.assertEqual(len(heard("A")), count)

    def test_a_reload_swaps_receivers_and_a_wrong_file_changes_nothing(self):
        route = {"receiver": "one", "group_by": ["alertname"], "group_wait": "1s", "group_interval": "2s", "repeat_interval": "1h"}
        reba = start(self.scratch, config(route, [self.hook("one")]))
        post(reba, {"alertname": "A"})
        wait_until(lambda: self.recorder.at("/one"), 15, "one hears of A")
        good = reba.file.read_text()
        reba.file.write_text("route: {receiver: nobody}\n")
        status, _, body = reba.raw("/-/reload", method="POST")
        self.assertEqual(status, 500)
        self.assertIn(b"failed to reload config", body)
        self.assertIn(b"alertmanager.yml", body)
        self.assertIn("alertmanager_config_last_reload_successful 0", reba.raw("/metrics")[2].decode())
        reba.file.write_text(good.replace('"route"', '"route"'))
        self.assertEqual(reba.raw("/-/reload", method="POST")[0], 200)
        # The same receiver still knows that it was told.
        post(reba, {"alertname": "B"})
        wait_until(lambda: len(self.recorder.at("/one")) == 2, 15, "one hears of B, and not of A again")
        self.assertEqual(len(self.recorder.at("/one")), 2)
        reba.file.write_text(config({**route, "receiver": "two"}, [self.hook("two")]))
        self.assertEqual(reba.raw("/-/reload", method="POST")[0], 200)
        wait_until(lambda: {n["groupLabels"]["alertname"] for n in self.recorder.at("/two")} == {"A", "B"}, 15, "two hears of both")
        self.assertEqual(reba.stop(), 0)

    def test_silences_survive_a_kill(self):
        reba = start(self.scratch, config({"receiver": "all"}, [self.hook("all")]))
        body = {"matchers": [{"name": "a", "value": "b", "isRegex": False}], "startsAt": iso(), "endsAt": iso(3600),
                "createdBy": "t", "comment": "t"}
        _, _, answer = reba.raw("/api/v2/silences", data=json.dumps(body).encode(), headers=JSON)
        sid = json.loads(answer)["silenceID"]
        reba.kill()
        reba.start()
        _, _, body = reba.raw(f"/api/v2/silence/{sid}")
        self.assertEqual(json.loads(body)["status"]["state"], "active")


@unittest.skipUnless(HAS_PEER, "Debian's Alertmanager or its templates are not there")
class Import(unittest.TestCase):
    """Moving from Debian's Alertmanager with its own files."""

    def test_silences_come_along_and_nobody_is_told_twice(self):
        recorder = Recorder()
        self.addCleanup(recorder.stop)
        with Scratch() as scratch:
            route = {"receiver": "r", "group_by": ["alertname"], "group_wait": "1s", "group_interval": "2s", "repeat_interval": "1h"}
            text = config(route, [{"name": "r", "webhook_configs": [{"url": f"{recorder.url}/r"}]}])
            peer = scratch.alertmanager(scratch.write("peer.yml", text))
            ids = {name: self.silence(peer, name, start, end) for name, start, end in
                   [("Quiet", 0, 3600), ("Later", 1800, 3600), ("Ended", 0, 3600)]}
            peer.raw(f"/api/v2/silence/{ids['Ended']}", method="DELETE")
            post(peer, {"alertname": "Known"}, {"alertname": "Over"}, {"alertname": "Quiet"})
            heard = lambda name: [n["status"] for n in recorder.at("/r") if n["groupLabels"]["alertname"] == name]
            wait_until(lambda: heard("Known") and heard("Over"), 20, "the peer has told")
            # It notes what it told once it was answered; when a later group is told, that is long done.
            post(peer, {"alertname": "Fence"})
            wait_until(lambda: heard("Fence"), 20, "the peer has told of another group")
            self.assertEqual(peer.stop(), 0)
            files = peer.folder / "data"
            data = scratch.sub("reba-data")
            code, out, err = reba("import", "alertmanager", str(files), "--data", str(data))
            self.assertEqual(code, 0, err)
            self.assertRegex(out, "3 silences imported")
            self.assertRegex(out, "[23] entries of the notification log imported")

            ours = start(scratch, text)
            states = {s["id"]: s["status"]["state"] for s in json.loads(ours.raw("/api/v2/silences")[2])}
            self.assertEqual(states, {ids["Quiet"]: "active", ids["Later"]: "pending", ids["Ended"]: "expired"})
            code, _, err = reba("import", "alertmanager", str(files), "--data", str(data))
            self.assertEqual(code, 1)
            self.assertIn("in use", err)
            # Known goes on, Over is resolved, Quiet is silenced, and New is the fence.
            post(ours, {"alertname": "Known"}, {"alertname": "Quiet"})
            post(ours, {"alertname": "Over"}, resolved=True)
            wait_until(lambda: heard("Over") == ["firing", "resolved"], 20, "what is over is told")
            post(ours, {"alertname": "New"})
            wait_until(lambda: heard("New"), 20, "what is new is told")
            self.assertEqual((heard("Known"), heard("Quiet")), (["firing"], []))
            # What was changed since is not brought back.
            ours.raw(f"/api/v2/silence/{ids['Quiet']}", method="DELETE")
            self.assertEqual(ours.stop(), 0)
            code, out, err = reba("import", "alertmanager", str(files), "--data", str(data))
            self.assertEqual(code, 0, err)
            self.assertRegex(out, "0 silences imported; 3 were known already")
            ours.start()
            _, _, body = ours.raw(f"/api/v2/silence/{ids['Quiet']}")
            self.assertEqual(json.loads(body)["status"]["state"], "expired")
            code, _, err = reba("import", "alertmanager", str(scratch.sub("nothing")), "--data", str(scratch.sub("other")))
            self.assertEqual(code, 1)
            self.assertIn("neither silences nor nflog", err)

    @staticmethod
    def silence(server, name, starts, ends):
        body = {"matchers": [{"name": "alertname", "value": name, "isRegex": False}], "startsAt": iso(starts), "endsAt": iso(ends),
                "createdBy": "someone", "comment": name}
        status, _, answer = server.raw("/api/v2/silences", data=json.dumps(body).encode(), headers=JSON)
        assert status == 200, answer
        return json.loads(answer)["silenceID"]


class Rehearsals(unittest.TestCase):
    """What receivers would be told, whether they take it, and how they are."""

    @classmethod
    def setUpClass(cls):
        cls.recorder, cls.mail, cls.scratch = Recorder(), Mail(), Scratch()
        for part in (cls.recorder.stop, cls.mail.stop, cls.scratch.__exit__):
            cls.addClassCleanup(part)
        url = cls.recorder.url
        receivers = [
            {"name": "on/call é", "webhook_configs": [{"url": f"{url}/hook/s3cret-path"}], "slack_configs": [
                {"api_url": f"{url}/slack/s3cret", "channel": "#ops", "title": "{{ .CommonAnnotations.summary }}"},
                {"api_url": "${NO_SUCH_VARIABLE}", "channel": "#none"}]},
            {"name": "mail", "email_configs": [{"to": "a@x.example", "from": "b@x.example", "smarthost": cls.mail.address,
                                                "text": "{{ range .Alerts }}{{ .Annotations.summary }}{{ end }}"}]},
            {"name": "broken", "webhook_configs": [{"url": f"{url}/broken"}],
             "slack_configs": [{"api_url": f"{url}/never", "channel": "c", "text": "{{ index .Alerts 100 }}"}]},
        ]
        route = {"receiver": "mail", "group_by": ["alertname"], "group_wait": "1h", "routes": [
            {"receiver": "on/call é", "matchers": ['severity="critical"']}, {"receiver": "broken", "matchers": ['x="y"']}]}
        cls.reba = start(cls.scratch, config(route, receivers))

    def ask(self, path, body=None, status=200):
        data = None if body is None else json.dumps(body).encode()
        code, _, answer = self.reba.raw(f"/api/v2/reba/{path}", data=data, headers=JSON if data else None)
        self.assertEqual(code, status, answer)
        return json.loads(answer)

    def test_a_preview_shows_every_message_sends_none_and_keeps_secrets(self):
        alert = {"labels": {"alertname": "Down", "severity": "critical"}, "annotations": {"summary": "it <is> down"}}
        before = len(self.recorder.posts)
        [note] = self.ask("preview", {"alerts": [alert]})["notifications"]
        self.assertEqual((note["receiver"], note["routed"], note["groupLabels"]), ("on/call é", True, {"alertname": "Down"}))
        self.assertEqual(note["groupKey"], '{}/{severity="critical"}:{alertname="Down"}')
        by = {(i["integration"], i["index"]): i for i in note["integrations"]}
        self.assertEqual(set(by), {("webhook", 0), ("slack", 0), ("slack", 1)})
        slack = json.loads(by["slack", 0]["messages"][0]["body"])
        self.assertEqual((slack["channel"], slack["attachments"][0]["title"]), ("#ops", "it <is> down"))
        hook = json.loads(by["webhook", 0]["messages"][0]["body"])
        self.assertEqual((hook["status"], hook["alerts"][0]["labels"]["alertname"]), ("firing", "Down"))
        self.assertIn("NO_SUCH_VARIABLE", by["slack", 1]["disabled"])
        self.assertEqual(by["slack", 1]["messages"], [])
        self.assertNotIn("s3cret", json.dumps(note))
        # A receiver that would not hear of it, and the sample.
        [note] = self.ask("preview", {"receiver": "mail", "alerts": [alert]})["notifications"]
        self.assertFalse(note["routed"])
        [message] = note["integrations"][0]["messages"]
        self.assertTrue(message["to"].startswith("mail to a@x.example"), message)
        self.assertEqual(message["body"], "it <is> down")
        [note] = self.ask("preview", {"receiver": "broken"})["notifications"]
        errors = {i["integration"]: i["error"] for i in note["integrations"]}
        self.assertIsNone(errors["webhook"])
        self.assertIn("slack_configs", errors["slack"])
        over = {**alert, "endsAt": iso(-60), "startsAt": iso(-600)}
        [note] = self.ask("preview", {"receiver": "mail", "alerts": [over]})["notifications"]
        self.assertIn("resolved", note["integrations"][0]["error"])
        self.assertIn("nobody", self.ask("preview", {"receiver": "nobody"}, 404))
        self.assertEqual((len(self.recorder.posts), self.mail.mails), (before, []))

    def test_a_test_is_marked_answered_told_to_be_over_and_remembered(self):
        self.recorder.behave("/broken", 500)
        self.assertIsNone(self.last("broken", "webhook"))
        answer = self.ask("test", {"receiver": "on/call é", "alerts": [{"labels": {"alertname": "Down"}}]})
        self.assertTrue(answer["ok"], answer)
        tries = {(i["integration"], i["index"]): [(t["status"], t["delivered"]) for t in i["tries"]] for i in answer["integrations"]}
        self.assertEqual(tries, {("webhook", 0): [("firing", True), ("resolved", True)], ("slack", 0): [("firing", True)], ("slack", 1): []})
        first, second = self.recorder.at("/hook/s3cret-path")
        self.assertEqual((first["status"], second["status"]), ("firing", "resolved"))
        self.assertEqual(first["groupKey"], second["groupKey"])
        self.assertEqual(first["alerts"][0]["labels"], {"alertname": "Down", "test": "true"})
        self.assertIn("TEST, nothing is wrong", first["commonAnnotations"]["summary"])
        self.assertEqual(self.last("on/call é", "webhook")["outcome"], "delivered")

        answer = self.ask("test", {"receiver": "broken"})
        self.assertFalse(answer["ok"])
        by = {i["integration"]: i["tries"] for i in answer["integrations"]}
        self.assertIn("500", by["webhook"][0]["error"])
        self.assertEqual(len(by["webhook"]), 1)
        self.assertEqual(self.recorder.at("/never", None), [])
        last = self.last("broken", "webhook")
        self.assertEqual((last["outcome"], last["failures"], last["deliveredAt"]), ("failed", 1, None))
        self.assertIn("500", last["error"])
        events = self.ask("events")["events"]
        self.assertTrue(any(e.get("reason") == "test of the receiver" and e["outcome"] == "failed" for e in events))
        routes = self.ask("routes")
        self.assertEqual([(r["route"], r["receiver"], r["notifications"]) for r in routes][0], ("{}", "mail", 0))
        self.assertEqual(routes[1]["matchers"], ['severity="critical"'])
        # It changes nothing for real alerts.
        self.assertEqual(self.reba.raw("/api/v2/alerts")[2].strip(), b"[]")
        self.ask("test", {}, 422)
        self.ask("test", {"receiver": "mail", "integration": "slack"}, 404)

    def last(self, receiver, kind):
        found = [i for r in self.ask("receivers") if r["name"] == receiver for i in r["integrations"] if i["integration"] == kind]
        return found[0]["last"]

    def test_a_test_of_mail_arrives(self):
        self.assertTrue(self.ask("test", {"receiver": "mail"})["ok"])
        self.assertEqual(len(self.mail.mails), 1)
        self.assertIn("TEST, nothing is wrong", self.mail.mails.pop())


class WithPassword(Program):
    def raw(self, path, params=None, data=None, method=None, headers=None):
        pair = base64.b64encode(b"alice:s").decode()
        return super().raw(path, params, data, method, {**(headers or {}), "Authorization": f"Basic {pair}"})


class Flags(unittest.TestCase):
    def test_the_flags_of_a_unit_file_are_taken_as_they_are(self):
        with Scratch() as scratch:
            file = scratch.write("am/alertmanager.yml", config({"receiver": "r"}, [{"name": "r"}]))
            secret = crypt.crypt("s", "$2b$04$" + "a" * 22)
            web = scratch.write("am/web.yml", f"basic_auth_users: {{alice: '{secret}'}}\n")
            port, data = free_port(), scratch.folder / "state"
            line = [str(REBA), "run", "--only", "alertmanager", "--", f"--config.file={file}", f"--storage.path={data}",
                    f"--web.listen-address=127.0.0.1:{port}", "--web.external-url=http://a.example/am/", f"--web.config.file={web}",
                    "--data.retention=5d", "--cluster.listen-address=", "--cluster.peer=b:9094", "--silences.max-silences=1",
                    "--web.timeout=30", "--log.level=info"]
            program = WithPassword(line, f"http://127.0.0.1:{port}/am", scratch.sub("flags"))
            scratch.programs.append(program)
            self.assertEqual(Http(program.base).raw("/api/v2/status")[0], 401)
            self.assertIn("receiver", json.loads(program.raw("/api/v2/status")[2])["config"]["original"])
            answers = []
            for name in "ab":
                body = {"matchers": [{"name": "x", "value": name, "isRegex": False}], "startsAt": iso(), "endsAt": iso(3600),
                        "createdBy": "t", "comment": "t"}
                answers.append(program.raw("/api/v2/silences", data=json.dumps(body).encode(), headers=JSON)[::2])
            self.assertEqual([status for status, _ in answers], [200, 400])
            self.assertIn(b"max_silences", answers[1][1])
            self.assertTrue((data / "state.db").exists())
            self.assertIn("--cluster.peer has no effect here", program.log())
            self.assertNotIn("--cluster.listen-address", program.log())
            self.assertEqual(program.stop(), 0)
        code, out, _ = reba("run", "--only", "alertmanager", "--", "--help")
        self.assertEqual((code, "--web.get-concurrency" in out), (0, True))
        code, _, err = reba("run", "--only", "alertmanager", "--", "--nope")
        self.assertEqual((code, "--nope" in err), (2, True))


class Check(unittest.TestCase):
    def test_the_owners_file_is_right_without_secrets_and_says_what_is_disabled(self):
        with Scratch() as scratch:
            file = scratch.write("alertmanager/alertmanager.yml",
                                 "route: {receiver: a, group_by: [alertname]}\nreceivers:\n- name: a\n  slack_configs:\n"
                                 "  - api_url: ${NO_SUCH_VARIABLE}\n    channel: x\n    title: '{{ .GroupLabels.severity }}'\n")
            code, out, _ = reba("check", "--config", str(scratch.folder))
            self.assertEqual(code, 0, out)
            self.assertRegex(out, r"alertmanager.yml:5:.*disabled.*NO_SUCH_VARIABLE.*: warning")
            self.assertRegex(out, r"alertmanager.yml:7:.*\.GroupLabels\.severity .*always empty.*: warning")
            file.write_text("route: {receiver: a}\nreceivers: [{name: b}]\n")
            code, out, _ = reba("check", "--config", str(scratch.folder))
            self.assertEqual(code, 1)
            self.assertRegex(out, r'alertmanager.yml:1:.*undefined receiver "a" used in route: error')
