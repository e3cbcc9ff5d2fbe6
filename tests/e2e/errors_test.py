"""What a user can get wrong, and what damage can do: each a clear message with its place, and the documented exit code."""

import re

import e2e
import flows


def test_an_unknown_key_is_told_with_its_place_and_a_suggestion(place):
    place.write(flows.tiny().replace("      epochs: ${params.epochs}", "      epoch: ${params.epochs}"))
    done = place.run("run", place.workflow, expect=3)
    line = 1 + place.workflow.read_text().splitlines().index("      epoch: ${params.epochs}")
    assert f"flow.yml:{line}:7: unknown key 'epoch' in step 'model'; did you mean 'epochs'?" in done.output, done.output


def test_an_unquoted_reference_in_a_flow_map_is_told_before_yaml_chokes(place):
    place.write(flows.tiny().replace('"${steps.graph}"', "${steps.graph}"))
    done = place.run("run", place.workflow, expect=3)
    assert 'write "${steps.graph}" in quotes inside { } and [ ]' in done.output, done.output


def test_a_missing_input_is_told(place):
    place.write("""
gnnflow: 1
name: missing
steps:
  - name: graph
    import: { source: no/such/folder }
""")
    done = place.run("run", place.workflow, expect=4)
    assert "flow.yml:5:5: step 'graph': its input " in done.output, done.output
    assert done.output.count("no/such/folder does not exist") == 1, done.output


def piece(place, pattern):
    """A file of a copied part, for a test to damage."""
    found = [p for root in place.roots() if root.name == "node2" for p in root.glob("data/*/" + pattern)]
    assert len(found) == 1, found
    return found[0]


def test_a_truncated_part_is_seen_and_sent_again(place):
    place.write(flows.tiny(epochs=2))
    place.run("run", place.workflow)
    damaged = piece(place, "part-1/edges/node.edge.node/indices.npy")
    original = damaged.read_bytes()
    damaged.chmod(0o644)
    damaged.write_bytes(original[:-100])
    # The placement is seen to be broken, and just that piece is sent again.
    done = place.run("run", place.workflow, "--set", "epochs=3")
    assert "data" in done.output, done.output
    assert damaged.read_bytes() == original, "the damaged piece was not sent again"


def test_plan_verify_finds_a_flipped_byte_where_it_lies(place):
    place.write(f"""
gnnflow: 1
name: verified
{flows.TWO_HOSTS}
steps:
  - name: graph
    generate: {{ preset: tiny, seed: 1 }}
  - name: parts
    partition: {{ graph: "${{steps.graph}}", parts: 2, method: metis, seed: 7 }}
  - name: data
    copy: {{ partition: "${{steps.parts}}", place: {{ node1: [0], node2: [1] }} }}
""")
    place.run("run", place.workflow)
    done = place.run("plan", "--verify", place.workflow)
    assert "nothing to do" in done.output and "verified: 4 of 4 copies are as they were made" in done.output, done.output
    damaged = piece(place, "part-1/edges/node.edge.node/indices.npy")
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.chmod(0o644)
    damaged.write_bytes(content)
    done = place.run("plan", "--verify", place.workflow, expect=12)
    assert "verified: 3 of 4 copies" in done.output, done.output
    assert "parts: part-1 on node2, data/" in done.output, done.output
    assert "file part-1/edges/node.edge.node/indices.npy is damaged" in done.output, done.output


def test_an_index_out_of_range_met_in_training_ends_with_12_and_its_place(place):
    controller = flows.start_training(place.write(flows.tiny(epochs=flows.LONG)))
    file = piece(place, "part-1/edges/node.edge.node/indices.npy")
    file.chmod(0o644)
    with open(file, "r+b") as array:
        array.seek(-4 * 3000, 2)
        array.write((2**30).to_bytes(4, "little") * 3000)
    flows.end_with(controller, place, 12, 30)
    assert re.search(r"indices\.npy: position \d+ of indices is 1073741824, but there are 2000 nodes", place.log()), place.log()
    place.check_nothing_left()


def test_an_array_cut_short_in_training_ends_with_12_and_its_name(place):
    controller = flows.start_training(place.write(flows.tiny(epochs=flows.LONG)))
    file = piece(place, "part-1/nodes/node/feat.npy")
    file.chmod(0o644)
    with open(file, "r+b") as array:
        array.truncate(100)
    flows.end_with(controller, place, 12, 30)
    assert "part-1/nodes/node/feat.npy: shrank or cannot be read" in place.log(), place.log()
    place.check_nothing_left()


def test_verify_names_array_and_position_of_an_index_out_of_range(place):
    place.run("graph", "generate", "g", "--preset", "tiny", "--seed", "1")
    place.run("partition", "g", "p", "--parts", "2", "--method", "metis", "--seed", "7")
    file = place.folder / "p/part-1/edges/node.edge.node/indices.npy"
    content = bytearray(file.read_bytes())
    content[-4:] = (2**30).to_bytes(4, "little")
    file.chmod(0o644)
    file.write_bytes(bytes(content))
    done = place.run("graph", "verify", "p", expect=12)
    assert "indices.npy" in done.output, done.output
    short = place.folder / "p/part-0/nodes/node/feat.npy"
    short.chmod(0o644)
    short.write_bytes(short.read_bytes()[:-7])
    done = place.run("graph", "verify", "p", expect=12)
    assert "feat.npy" in done.output, done.output


def test_a_second_controller_is_told_who_holds_the_state(place):
    place.write("""
gnnflow: 1
name: held
steps:
  - name: waits
    exec: { command: [sleep, "60"] }
""")
    controller = place.start("run", place.workflow)
    e2e.wait_until("the step", lambda: place.process_of("sleep", "60"), 30)
    done = place.run("run", place.workflow, expect=5)
    assert str(controller.pid) in done.output, done.output
    controller.send_signal(15)
    assert controller.wait(20) == 143, place.log()
    place.check_nothing_left()


def test_a_failed_command_shows_its_code_and_last_lines(place):
    place.write("""
gnnflow: 1
name: fails
steps:
  - name: bad
    exec: { command: [sh, -c, "echo the reason; exit 3"] }
  - name: after
    exec: { command: ["true"] }
""")
    done = place.run("run", place.workflow, expect=1)
    assert "its task on controller: sh ended with exit code 3\n" in done.output, done.output
    assert "| the reason" in done.output, done.output
    assert place.query("select count(*) from attempt where step = 'after'") == [(0,)]
    place.check_nothing_left()


def test_a_command_whose_last_line_is_no_text_fails_like_any_other(place):
    place.write(r"""
gnnflow: 1
name: bytes
steps:
  - name: bad
    exec: { command: [sh, -c, "printf 'the \\377 reason\\n'; exit 3"] }
""")
    for _ in range(2):  # the second has the first's log to show, from a daemon that has just begun
        done = place.run("run", place.workflow, expect=1, timeout=60)
        assert "its task on controller: sh ended with exit code 3\n" in done.output, done.output
        assert "| the \uFFFD reason" in done.output, done.output
    place.check_nothing_left()
    place.check_invariants()


def test_too_many_parts_are_refused(place):
    place.run("graph", "generate", "g", "--preset", "tiny", "--seed", "1")
    done = place.run("partition", "g", "p", "--parts", "5000000", expect=2)
    assert "'parts' is 5000000, not 1 to 4096" in done.output, done.output
    assert not (place.folder / "p").exists()


def test_wrong_use_of_the_command_line_ends_with_2_and_unknown_things_with_4(place):
    place.run("run", expect=2)
    place.run("frobnicate", expect=2)
    for words, message in {
            "graph generate": "OUT is required; see `gnnflow graph generate --help`",
            "graph generate g --nodes x": "--nodes: 'x' is no whole number; see `gnnflow graph generate --help`",
            "graph generate g --noise x": "--noise: 'x' is no number; see `gnnflow graph generate --help`",
            "graph generate g h": "unexpected argument 'h'; see `gnnflow graph generate --help`",
            "graph list d --part -1": "--part: '-1' is no number from 0 on; see `gnnflow graph list --help`",
            "graph sample d --seeds 1,a --fanout 1": "--seeds: 'a' is no whole number; see `gnnflow graph sample --help`",
            "partition": "GRAPH is required; see `gnnflow partition --help`",
            "partition g p --metod metis": "unknown option '--metod'; did you mean '--method'?; see `gnnflow partition --help`",
            "partition g p --parts": "--parts needs a value; see `gnnflow partition --help`",
            "partition g p --imbalance 0.5": "partition: 'imbalance' is 0.5, not above 1 and up to 10"}.items():
        done = place.run(*words.split(), expect=2)
        assert done.stderr == f"gnnflow: {message}\n", done.output
    assert "--task" not in place.run("partition", "--help").stdout
    place.run("status", place.folder / "no.yml", expect=4)
    assert "gnnflow" in place.run("--version").output
    assert "run" in place.run("--help").output


if __name__ == "__main__":
    e2e.main(globals())
