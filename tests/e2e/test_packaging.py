"""What is installed: the Debian package as crates/reba/Cargo.toml describes it, the unit of systemd, the container's files."""

import os
import pathlib
import re
import shutil
import subprocess
import tomllib
import unittest

from harness import REBA, ROOT, Scratch, reba

PACKAGE = ROOT / "crates/reba"


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, **options)
    return done.returncode, done.stdout + done.stderr


class Packaging(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """The package's tree, put together as cargo-deb does it."""
        cls.scratch = Scratch()
        cls.addClassCleanup(cls.scratch.__exit__)
        cls.root, assets = cls.scratch.sub("root"), cls.scratch.sub("assets")
        cls.deb = tomllib.loads((PACKAGE / "Cargo.toml").read_text())["package"]["metadata"]["deb"]
        code, out = run(ROOT / "packaging/assets.sh", REBA.resolve(), assets)
        assert code == 0, out
        for source, to, mode in cls.deb["assets"]:
            if source == "target/dist/reba":
                found = [REBA.resolve()]
            elif source.startswith("../../target/assets/"):
                found = sorted(assets.glob(source.removeprefix("../../target/assets/")))
            else:
                path = pathlib.Path(os.path.normpath(PACKAGE / source))
                found = sorted(path.parent.glob(path.name))
            assert found, f"{source}: no such file"
            for one in found:
                target = cls.root / to / one.name if to.endswith("/") else cls.root / to
                target.parent.mkdir(parents=True, exist_ok=True)
                # The program is large; a link will do.
                if one == REBA.resolve():
                    target.symlink_to(one)
                else:
                    shutil.copyfile(one, target)
                    target.chmod(int(mode, 8))

    def test_the_package_has_what_it_promises(self):
        files = {str(p.relative_to(self.root)) for p in self.root.rglob("*") if not p.is_dir()}
        for name in ["usr/bin/reba", "usr/lib/systemd/system/reba.service", "usr/share/man/man1/reba.1.gz", "usr/share/man/man1/reba-run.1.gz",
                     "usr/share/man/man1/reba-backup.1.gz", "usr/share/bash-completion/completions/reba", "usr/share/doc/reba/copyright",
                     "etc/reba/alertmanager/alertmanager.yml", "etc/reba/grafana/dashboards/system-overview.json"]:
            self.assertIn(name, files)
        for name in self.deb["conf-files"]:
            self.assertIn(name.lstrip("/"), files)
        self.assertFalse([name for name in files if name.endswith(".env")], "no secrets")
        settings = {name for name in files if name.startswith("etc/")}
        self.assertEqual(settings, {name.lstrip("/") for name in self.deb["conf-files"]}, "an upgrade overwrites no configuration")

    def test_its_configuration_is_right(self):
        (self.root / "etc/reba/.env").write_text("GRAFANA_ADMIN_PASSWORD=a long password\nSENDGRID_API_KEY=x\n")
        code, out, err = reba("check", "--config", str(self.root / "etc/reba"))
        (self.root / "etc/reba/.env").unlink()
        self.assertEqual((code, "all right" in out), (0, True), out + err)

    def test_secrets_that_only_root_may_read_do_not_stop_the_service(self):
        """systemd reads /etc/reba/.env and puts it into the environment; the service's own user may not read it."""
        if os.geteuid() != 0 or not shutil.which("setpriv"):
            self.skipTest("it takes root to be somebody else")
        env, folder = self.root / "etc/reba/.env", self.root
        self.addCleanup(env.unlink)
        env.write_text("GRAFANA_ADMIN_PASSWORD=only root reads this\n")
        env.chmod(0o600)
        while folder != folder.parent:
            folder.chmod(folder.stat().st_mode | 0o755) if folder.is_relative_to(self.scratch.folder) else None
            folder = folder.parent
        # The program by its descriptor: it may lie where nobody else can go.
        with open(REBA.resolve(), "rb") as program:
            code, out = run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", f"/proc/self/fd/{program.fileno()}",
                            "check", "--config", self.root / "etc/reba", pass_fds=[program.fileno()])
        self.assertEqual((code, "all right" in out), (0, True), out)

    def test_dpkg_takes_it(self):
        if not shutil.which("dpkg-deb"):
            self.skipTest("there is no dpkg-deb")
        folder = self.scratch.sub("deb")
        shutil.copytree(self.root, folder, symlinks=True, dirs_exist_ok=True)
        control = folder / "DEBIAN"
        control.mkdir()
        fields = {"Package": "reba", "Version": "0.1.0", "Architecture": "amd64", "Maintainer": self.deb["maintainer"],
                  "Section": self.deb["section"], "Description": "observability in one program"}
        (control / "control").write_text("".join(f"{k}: {v}\n" for k, v in fields.items()))
        (control / "conffiles").write_text("\n".join(self.deb["conf-files"]) + "\n")
        scripts = pathlib.Path(os.path.normpath(PACKAGE / self.deb["maintainer-scripts"]))
        for script in scripts.iterdir():
            self.assertEqual(run("sh", "-n", script)[0], 0, script)
            shutil.copyfile(script, control / script.name)
            (control / script.name).chmod(0o755)
        package = self.scratch.folder / "reba.deb"
        code, out = run("dpkg-deb", "--root-owner-group", "-Znone", "--build", folder, package)
        self.assertEqual(code, 0, out)
        code, out = run("dpkg-deb", "-c", package)
        self.assertEqual(code, 0, out)
        self.assertRegex(out, r"root/root .* \./usr/lib/systemd/system/reba\.service\n")
        # Scripts do nothing, and say so by their status, where no systemd runs.
        if not pathlib.Path("/run/systemd/system").exists():
            for script, argument in [("postinst", "configure"), ("prerm", "remove"), ("postrm", "purge")]:
                self.assertEqual(run("sh", scripts / script, argument), (0, ""))

    def test_the_unit_is_right_and_well_confined(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("there is no systemd-analyze")
        text = (ROOT / "packaging/reba.service").read_text()
        unit = self.scratch.write("unit/reba.service", text.replace("/usr/bin/reba", str(REBA.resolve())))
        code, out = run("systemd-analyze", "verify", "--man=no", unit)
        self.assertEqual((code, out), (0, ""))
        code, out = run("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=25", unit)
        self.assertEqual(code, 0, out)
        # A system call that is not in the list must not end the process, and that of the clock's exporter is in it.
        self.assertIn("SystemCallErrorNumber=EPERM", text)
        self.assertRegex(text, r"SystemCallFilter=.*\badjtimex\b")

    def test_one_container_stands_for_nine(self):
        compose = (ROOT / "monitoring/docker-compose.monitoring.yml").read_text()
        services = re.search(r"^services:\n((?:  .*\n|\n)+)", compose, re.M).group(1)
        self.assertEqual(re.findall(r"^  (\w[\w-]*):$", services, re.M), ["reba"])
        docker = (ROOT / "monitoring/Dockerfile").read_text()
        rust = re.search(r'^rust-version = "([\d.]+)"', (ROOT / "Cargo.toml").read_text(), re.M).group(1)
        image = re.search(r"^FROM rust:([\d.]+)", docker, re.M).group(1)
        self.assertGreaterEqual([int(n) for n in image.split(".")], [int(n) for n in rust.split(".")][:2], "the image's Rust builds it")
        self.assertIn("scripts/web.sh", docker, "the web app is in the image")
        self.assertIn("USER", docker)

    def test_every_command_shows_examples(self):
        def walk(words):
            code, out, err = reba(*words, "--help")
            self.assertEqual(code, 0, err)
            self.assertIn("Examples:", out, " ".join(["reba", *words]))
            commands = re.search(r"^Commands:\n((?:  .*\n|\n)+)", out, re.M)
            for name in re.findall(r"^  ([a-z]\S*)", commands.group(1) if commands else "", re.M):
                if name != "help":
                    walk([*words, name])
        walk([])


if __name__ == "__main__":
    unittest.main()
