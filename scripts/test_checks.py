"""The checks of form must fail on what they forbid: small made-up workspaces and files, one forbidden thing in each."""

import unittest
from pathlib import Path

import check_arrows
import check_files


def metadata(edges):
    """What cargo would print for our crates with the edges {(from, to): kind}; every other crate has no dependency."""
    ours = [check_arrows.PREFIX + name for name in check_arrows.ARROWS]
    names = sorted({*ours, *(name for edge in edges for name in edge)})
    nodes = [
        {
            "id": name,
            "deps": [{"pkg": to, "dep_kinds": [{"kind": kind}]} for (start, to), kind in edges.items() if start == name],
        }
        for name in names
    ]
    return {
        "packages": [{"id": name, "name": name} for name in names],
        "workspace_members": ours,
        "resolve": {"nodes": nodes},
    }


def arrow_errors(edges):
    return list(check_arrows.violations(check_arrows.Graph(metadata(edges))))


class Arrows(unittest.TestCase):
    def test_allowed_edges_pass(self):
        edges = {("galapagos-proto", "galapagos-domain"): None, ("galapagos-trainer", "tch"): None}
        self.assertEqual(arrow_errors(edges), [])

    def test_worker_may_not_link_trainer(self):
        (error,) = arrow_errors({("galapagos-worker", "galapagos-trainer"): None})
        self.assertIn("worker -> trainer", error)

    def test_dev_dependencies_count_as_arrows(self):
        (error,) = arrow_errors({("galapagos-domain", "galapagos-proto"): "dev"})
        self.assertIn("domain -> proto", error)

    def test_libtorch_is_found_behind_other_packages(self):
        edges = {("galapagos-cli", "x"): None, ("x", "torch-sys"): None}
        self.assertEqual(arrow_errors(edges), ["cli must not reach torch-sys: galapagos-cli -> x -> torch-sys"])

    def test_effects_are_kept_from_the_pure_core_but_for_its_tests(self):
        self.assertEqual(len(arrow_errors({("galapagos-domain", "tokio"): None})), 1)
        self.assertEqual(arrow_errors({("galapagos-domain", "tempfile"): "dev"}), [])

    def test_an_unknown_crate_must_be_placed(self):
        data = metadata({("galapagos-new", "galapagos-domain"): None})
        data["workspace_members"].append("galapagos-new")
        (error,) = check_arrows.violations(check_arrows.Graph(data))
        self.assertIn("new crate", error)


class Files(unittest.TestCase):
    def errors(self, name, *lines):
        return list(check_files.errors(Path(name), list(lines)))

    def test_a_plain_file_passes(self):
        self.assertEqual(self.errors("domain/src/job.rs", "//! Jobs.", "fn todo() {}"), [])

    def test_forbidden_code_is_named_with_its_line(self):
        for code in ("todo" + "!()", "unimplemented" + "!()", "dbg" + "!(x)", "#[" + "ignore = \"slow\"]"):
            (error,) = self.errors("a.rs", "//! A.", code)
            self.assertTrue(error.startswith("a.rs:2: "), error)

    def test_head_length_and_mod_rs(self):
        self.assertEqual(len(self.errors("a.rs", "use b;")), 1)
        self.assertEqual(len(self.errors("a.rs", "//! A.", *["x"] * check_files.MAX_LINES)), 1)
        self.assertEqual(len(self.errors("a/mod.rs", "//! A.")), 1)

    def test_machine_paths_in_any_file(self):
        for path in ("/wo" + "rk/main", "/ro" + "ot/x", "/ho" + "me/ann/x"):
            self.assertEqual(len(self.errors("docs/a.md", f"see {path}")), 1, path)
        self.assertEqual(self.errors("docs/a.md", "galapagos/root/x and $HOME/src/x and ./home/x"), [])


if __name__ == "__main__":
    unittest.main()
