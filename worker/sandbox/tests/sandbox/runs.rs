//! Programs, their ends and their bounds; the probe and the floor.

use galapagos_sandbox::{End, Floor, Layer, Limits, Program, Sandbox, SandboxError, Settings};

use super::host::{compile, launcher, run_limited, run_python, sandbox, text};

#[test]
fn this_host_has_every_layer() {
    let probe = sandbox().probe();
    let missing: Vec<_> = probe.layers.iter().filter(|tried| tried.missing.is_some()).collect();
    assert!(probe.check(&Floor::Strict).is_ok(), "{missing:?}");
    assert_eq!(probe.layers.iter().map(|tried| tried.layer).collect::<Vec<_>>(), Layer::ALL);
}

#[test]
fn a_host_below_the_floor_runs_nothing_and_says_why() {
    let mut settings = Settings::new(launcher());
    settings.launcher = "/nowhere/galapagos-sandbox".into();
    let error = Sandbox::new(settings).unwrap_err();
    assert!(error.to_string().contains("/nowhere/galapagos-sandbox; it belongs beside this executable"), "{error}");
}

#[test]
fn a_python_program_gets_its_input_and_gives_its_output() {
    let program = Program::Python {
        source:
            "import sys\nprint(sum(map(int, sys.stdin.read().split())))\nprint('note', file=sys.stderr)\nsys.exit(3)"
                .into(),
        input: b"1 2\n39\n".to_vec(),
    };
    let report = sandbox().run(&program, &Limits::default()).unwrap();
    assert_eq!(
        (report.end, text(&report.out), text(&report.err)),
        (End::Exited { code: 3 }, "42\n".to_owned(), "note\n".to_owned())
    );
    assert!(report.wall_ms < 10_000);
}

#[test]
fn an_input_that_nobody_reads_stops_nothing() {
    let program = Program::Python { source: "print('done')".into(), input: vec![b'x'; 4 << 20] };
    let report = sandbox().run(&program, &Limits::default()).unwrap();
    assert_eq!((report.end, text(&report.out)), (End::Exited { code: 0 }, "done\n".to_owned()));
}

#[test]
fn a_large_input_is_read_whole() {
    let program =
        Program::Python { source: "import sys\nprint(len(sys.stdin.read()))".into(), input: vec![b'x'; 4 << 20] };
    assert_eq!(text(&sandbox().run(&program, &Limits::default()).unwrap().out), "4194304\n");
}

#[test]
fn native_programs_run_both_ways_linked() {
    let code = "#include <stdio.h>\n#include <math.h>\nint main(int n, char **v) { double x; if (scanf(\"%lf\", &x) != 1) return 2; printf(\"%s %.1f\\n\", v[1], sqrt(x)); return 0; }";
    for flags in [&["-O1", "-static"][..], &["-O1"]] {
        let flags: Vec<&str> = flags.iter().chain(&["-x", "c"]).copied().collect();
        let executable = compile_math(code, &flags);
        let program = Program::Native { executable, arguments: vec!["root".into()], input: b"16".to_vec() };
        let report = sandbox().run(&program, &Limits::default()).unwrap();
        assert_eq!((report.end, text(&report.out)), (End::Exited { code: 0 }, "root 4.0\n".to_owned()), "{flags:?}");
    }
}

/// With the square root by the processor, so that no library order matters.
fn compile_math(code: &str, flags: &[&str]) -> Vec<u8> {
    let flags: Vec<&str> = flags.iter().copied().chain(["-fno-math-errno"]).collect();
    compile(code, &flags)
}

#[test]
fn a_crash_is_a_signal() {
    let report = run_python("import os\nos.abort()");
    assert_eq!(report.end, End::Signalled { signal: 6 });
    let executable = compile("int main(void) { volatile int *p = 0; *p = 1; return 0; }", &[]);
    let program = Program::Native { executable, arguments: Vec::new(), input: Vec::new() };
    assert_eq!(sandbox().run(&program, &Limits::default()).unwrap().end, End::Signalled { signal: 11 });
}

#[test]
fn time_on_the_clock_ends_a_sleeper_and_processor_time_a_loop() {
    let limits = Limits { wall_ms: 3_000, ..Limits::default() };
    let report = run_limited("import time\nprint('here', flush=True)\ntime.sleep(1000)", &limits);
    assert_eq!((report.end, text(&report.out)), (End::TimedOut, "here\n".to_owned()));
    assert!(report.wall_ms >= 3_000);
    let limits = Limits { cpu_s: 1, wall_ms: 60_000, ..Limits::default() };
    let report = run_limited("while True: pass", &limits);
    assert_eq!(report.end, End::TimedOut);
    assert!(report.cpu_ms >= 800 && report.cpu_ms < 5000, "{}", report.cpu_ms);
}

#[test]
fn too_much_memory_is_told() {
    let report = run_python("x = bytearray(2 << 30)");
    assert_eq!(report.end, End::OutOfMemory, "{}", text(&report.err));
    // Many processes with little each: only the cgroup sees them together.
    if sandbox().probe().available().contains(&Layer::Cgroup) {
        let source = "import os, time\nfor _ in range(8):\n    if os.fork() == 0:\n        x = bytearray(120 << 20)\n        time.sleep(60)\nos.wait()";
        let report = run_limited(source, &Limits { memory_bytes: 200 << 20, ..Limits::default() });
        assert_eq!(report.end, End::OutOfMemory);
    }
}

#[test]
fn output_is_bounded_and_kept() {
    let limits = Limits { output_bytes: 1000, ..Limits::default() };
    let report = run_limited("while True: print('x' * 99)", &limits);
    assert_eq!((report.end, report.out.len()), (End::OutputCapped, 1000));
    let report = run_limited("print('x' * 999)", &limits);
    assert_eq!((report.end, report.out.len()), (End::Exited { code: 0 }, 1000));
}

#[test]
fn the_environment_is_fixed_and_the_root_is_small() {
    let report = run_python(
        "import os\nprint(sorted(os.environ))\nprint([p for p in ('/etc', '/proc', '/sys', '/root', '/home', '/var', '/run', '/bin/sh', '/dev/tty', '/mnt') if os.path.exists(p)])\nprint(os.getuid(), os.getcwd(), len(os.listdir('/tmp')))",
    );
    let out = text(&report.out);
    let lines: Vec<&str> = out.lines().collect();
    let names = "['HOME', 'LANG', 'PATH', 'PYTHONDONTWRITEBYTECODE', 'PYTHONHASHSEED', 'PYTHONNOUSERSITE', 'PYTHONSAFEPATH', 'PYTHONUTF8']";
    assert_eq!(lines[0], names);
    // The folders on the way to a Python that somebody installed at home are there, empty but for it.
    let shown = lines[1].replace("'/root'", "").replace("'/home'", "");
    assert_eq!(shown.trim_matches(['[', ']', ',', ' ']), "", "{out}");
    assert_eq!(lines[2], "1000 /tmp 0");
}

#[test]
fn a_program_has_its_three_descriptors_and_no_other() {
    let source = "import os\nfound = []\nfor n in range(1000):\n    try: os.fstat(n)\n    except OSError: continue\n    found.append(n)\nprint(found)";
    let report = run_python(source);
    // Python holds one for its script while it reads it.
    let listed = text(&report.out);
    assert!(listed == "[0, 1, 2]\n" || listed == "[0, 1, 2, 3]\n", "{listed}");
    let held = "import os\nprint([os.path.exists('/program/main'), os.fstat(3).st_ino == os.stat('/program/main').st_ino] if os.path.exists('/program/main') else [])";
    if listed.contains('3') {
        assert_eq!(text(&run_python(held).out), "[True, True]\n");
    }
}

#[test]
fn runs_are_alike() {
    let source = "print([hash('a'), list({'x', 'y', 'z'})])";
    assert_eq!(run_python(source).out, run_python(source).out);
}

#[test]
fn threads_subprocess_pipes_and_files_of_ones_own_work() {
    let source = "
import threading, tempfile, os, json, decimal, sqlite3, hashlib, multiprocessing.dummy
out = []
threads = [threading.Thread(target=out.append, args=(i,)) for i in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
with tempfile.TemporaryDirectory() as folder:
    open(folder + '/a', 'w').write('text')
    os.rename(folder + '/a', folder + '/b')
    out.append(open(folder + '/b').read())
r, w = os.pipe()
if os.fork() == 0:
    os.write(w, b'child'); os._exit(0)
os.wait()
out.append(os.read(r, 10).decode())
import asyncio
async def main(): await asyncio.sleep(0.001); return 'async'
out.append(asyncio.run(main()))
print(sorted(map(str, out)))
";
    let report = run_python(source);
    assert_eq!(text(&report.out), "['0', '1', '2', '3', 'async', 'child', 'text']\n", "{}", text(&report.err));
}

#[test]
fn a_named_python_that_is_none_is_refused_at_once() {
    let mut settings = Settings::new(launcher());
    settings.python = Some("/bin/true".into());
    assert!(matches!(Sandbox::new(settings).unwrap_err(), SandboxError::Python { .. }));
}
