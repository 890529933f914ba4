//! What a program needs of the host to run at all: the dynamic loader, libraries, Python with its standard library. Found once at
//! start, by asking; the private root then shows these paths and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::plan::{Execution, Tree};

/// The only environment that programs get.
const ENVIRONMENT: [(&str, &str); 8] = [
    ("PATH", "/usr/bin:/bin"),
    ("HOME", "/tmp"),
    ("LANG", "C.UTF-8"),
    // Sets and dictionaries of strings have the same order in every run.
    ("PYTHONHASHSEED", "0"),
    ("PYTHONUTF8", "1"),
    ("PYTHONSAFEPATH", "1"),
    ("PYTHONNOUSERSITE", "1"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
];

/// No user site, no site-packages, no written byte code. Not `-I`, which would also ignore the hash seed above; the
/// environment is ours.
const FLAGS: [&str; 3] = ["-s", "-S", "-B"];

const DEVICES: [&str; 3] = ["/dev/null", "/dev/zero", "/dev/urandom"];

/// Loaders by the paths that executables name.
const LOADERS: [&str; 2] = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"];

/// What C and C++ programs are linked with, beside `libc.so.6`.
const LIBRARIES: [&str; 6] =
    ["libm.so.6", "libgcc_s.so.1", "libstdc++.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1"];

/// Prints where Python is, and what is mapped once every extension module of the standard library is loaded.
const ASK: &str = r#"
import sys, os, json
import importlib, sysconfig
stdlib = os.path.dirname(os.path.realpath(os.__file__))
dynload = os.path.join(stdlib, "lib-dynload")
for name in sorted(os.listdir(dynload)) if os.path.isdir(dynload) else []:
    if "test" not in name and "tkinter" not in name:
        try:
            importlib.import_module(name.split(".")[0])
        except BaseException:
            pass
with open("/proc/self/maps") as maps:
    mapped = sorted({line.split(None, 5)[5].strip() for line in maps if line.count("/") and ".so" in line})
print(json.dumps({"executable": os.path.realpath(sys.executable), "version": list(sys.version_info[:3]),
                  "stdlib": stdlib, "dynload": dynload, "mapped": mapped}))
"#;

/// Writes its argument as byte code, in the form of a file beside a module: a magic number, flags and a time that nobody asks for.
const COMPILE: &str = "
import sys, marshal, importlib.util
code = compile(sys.argv[1], '<harness>', 'exec', dont_inherit=True)
sys.stdout.buffer.write(importlib.util.MAGIC_NUMBER + bytes(12) + marshal.dumps(code))
";

/// No usable Python.
#[derive(Debug, thiserror::Error)]
pub enum PythonError {
    #[error("cannot start Python as `{}`; install python3 or name another executable", program.display())]
    Start { program: PathBuf, source: io::Error },
    #[error("`{}` is no usable Python: it ended with {status} and said: {said}", program.display())]
    Unusable { program: PathBuf, status: String, said: String },
    #[error("`{}` is no usable Python: it does not answer in JSON", program.display())]
    Answer { program: PathBuf, source: serde_json::Error },
    #[error("Python {found} at `{}` is too old; 3.8 is needed", program.display())]
    Old { program: PathBuf, found: String },
}

/// A Python interpreter of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Python {
    executable: PathBuf,
    version: (u32, u32, u32),
    tree: Tree,
}

#[derive(Deserialize)]
struct Answer {
    executable: PathBuf,
    version: (u32, u32, u32),
    stdlib: PathBuf,
    dynload: PathBuf,
    mapped: Vec<PathBuf>,
}

impl Python {
    /// Asks `program`, or the `python3` of the search path, where its parts are.
    ///
    /// # Errors
    /// If it does not start, does not answer, or is older than 3.8.
    pub fn find(program: Option<&Path>) -> Result<Self, PythonError> {
        let program = program.unwrap_or_else(|| Path::new("python3")).to_path_buf();
        let output = Command::new(&program)
            .args(["-I", "-S", "-B", "-c", ASK])
            .stdin(Stdio::null())
            .output()
            .map_err(|source| PythonError::Start { program: program.clone(), source })?;
        if !output.status.success() {
            return Err(unusable(program, &output));
        }
        let answer: Answer = serde_json::from_slice(&output.stdout)
            .map_err(|source| PythonError::Answer { program: program.clone(), source })?;
        let (major, minor, patch) = answer.version;
        if (major, minor) < (3, 8) {
            return Err(PythonError::Old { program, found: format!("{major}.{minor}.{patch}") });
        }
        let mut tree = base();
        for path in [&answer.stdlib, &answer.dynload, &answer.executable] {
            add(&mut tree, path);
        }
        for library in &answer.mapped {
            add_library(&mut tree, library);
        }
        Ok(Self { executable: answer.executable, version: answer.version, tree })
    }

    #[must_use]
    pub fn executable(&self) -> &Path {
        &self.executable
    }

    #[must_use]
    pub const fn version(&self) -> (u32, u32, u32) {
        self.version
    }

    pub(crate) fn tree(&self) -> Tree {
        self.tree.clone()
    }

    /// Runs the program's own file.
    pub(crate) fn of_file(&self) -> Execution {
        self.with(&["{program}"])
    }

    /// Runs the program's own file with the channel's number as its argument.
    pub(crate) fn with_channel(&self) -> Execution {
        self.with(&["{program}", "{channel}"])
    }

    /// A program as a file of byte code for this Python, which it need not compile at each start. The program must be ours: it is
    /// compiled outside of any sandbox.
    pub(crate) fn compile(&self, code: &str) -> Result<Vec<u8>, PythonError> {
        let program = self.executable.clone();
        let start = |source| PythonError::Start { program: program.clone(), source };
        let output = Command::new(&program)
            .args(["-I", "-S", "-B", "-c", COMPILE, code])
            .stdin(Stdio::null())
            .output()
            .map_err(start)?;
        if output.status.success() { Ok(output.stdout) } else { Err(unusable(program, &output)) }
    }

    fn with(&self, arguments: &[&str]) -> Execution {
        let arguments = FLAGS.iter().chain(arguments).map(|text| (*text).to_owned()).collect();
        Execution { path: self.executable.clone(), arguments, environment: environment() }
    }
}

fn unusable(program: PathBuf, output: &std::process::Output) -> PythonError {
    let said = String::from_utf8_lossy(&output.stderr).trim().chars().take(500).collect();
    PythonError::Unusable { program, status: output.status.to_string(), said }
}

/// Runs the program's own file as it is.
pub(crate) fn native(arguments: &[String]) -> (Tree, Execution) {
    let path = PathBuf::from("{program}");
    (base(), Execution { path, arguments: arguments.to_vec(), environment: environment() })
}

fn environment() -> Vec<(String, String)> {
    ENVIRONMENT.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Devices, the loader and what ordinary executables are linked with.
fn base() -> Tree {
    let mut tree = Tree::default();
    tree.devices.extend(DEVICES.iter().map(PathBuf::from).filter(|path| path.exists()));
    for loader in LOADERS.iter().map(Path::new).filter(|path| path.exists()) {
        add(&mut tree, loader);
    }
    // This process is linked with the C library itself.
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mapped: BTreeSet<&Path> =
        maps.lines().filter_map(|line| line.find('/').map(|at| Path::new(&line[at..]))).collect();
    for library in mapped.into_iter().filter(|path| path.to_string_lossy().contains("libc.so")) {
        add_library(&mut tree, library);
        let folder = library.parent().unwrap_or_else(|| Path::new("/"));
        for other in LIBRARIES.iter().map(|name| folder.join(name)).filter(|path| path.exists()) {
            add(&mut tree, &other);
        }
    }
    tree
}

/// Adds a file or folder by any of its paths: the links on the way, and what they lead to.
fn add(tree: &mut Tree, path: &Path) {
    let mut at = PathBuf::from("/");
    let mut rest: Vec<_> = path.components().rev().map(|part| part.as_os_str().to_owned()).collect();
    // A loop of links ends at the kernel's own limit.
    let mut links = 40;
    while let Some(part) = rest.pop() {
        match Path::new(&part).components().next() {
            Some(Component::Normal(_)) => at.push(&part),
            Some(Component::ParentDir) => {
                at.pop();
                continue;
            }
            Some(Component::RootDir) => {
                at = PathBuf::from("/");
                continue;
            }
            Some(Component::CurDir | Component::Prefix(_)) | None => continue,
        }
        if let Ok(target) = fs::read_link(&at) {
            links -= 1;
            if links == 0 {
                return;
            }
            let link = (at.clone(), target.clone());
            if !tree.links.contains(&link) {
                tree.links.push(link);
            }
            at.pop();
            rest.extend(target.components().rev().map(|part| part.as_os_str().to_owned()));
        }
    }
    let shown = tree.shared.iter().any(|folder| at.starts_with(folder));
    if !shown && at.exists() {
        tree.shared.push(at);
    }
}

/// Adds a library with the links beside it by which others ask for it.
fn add_library(tree: &mut Tree, library: &Path) {
    add(tree, library);
    let Ok(real) = fs::canonicalize(library) else { return };
    let (Some(folder), Some(name)) = (real.parent(), real.file_name().and_then(|name| name.to_str())) else { return };
    let stem = name.split(".so").next().unwrap_or(name);
    let beside = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut links: Vec<PathBuf> = beside
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(stem))
        .map(|entry| entry.path())
        .filter(|path| path.is_symlink() && fs::canonicalize(path).is_ok_and(|to| to == real))
        .collect();
    links.sort();
    for link in links {
        add(tree, &link);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_on_the_way_are_kept_and_folders_hold_their_files() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        fs::create_dir_all(real.join("usr/lib")).unwrap();
        fs::write(real.join("usr/lib/libz.so.1.2"), "").unwrap();
        symlink("usr/lib", real.join("lib")).unwrap();
        symlink("libz.so.1.2", real.join("usr/lib/libz.so.1")).unwrap();
        let mut tree = Tree::default();
        add(&mut tree, &real.join("lib/libz.so.1"));
        assert_eq!(tree.shared, [real.join("usr/lib/libz.so.1.2")]);
        assert_eq!(
            tree.links,
            [(real.join("lib"), "usr/lib".into()), (real.join("usr/lib/libz.so.1"), "libz.so.1.2".into())]
        );
        let mut tree = Tree { shared: vec![real.clone()], ..Tree::default() };
        add_library(&mut tree, &real.join("usr/lib/libz.so.1.2"));
        assert_eq!(tree.shared, [real]);
    }

    #[test]
    fn a_python_that_is_none_says_so() {
        let missing = Python::find(Some(Path::new("/nowhere/python3"))).unwrap_err();
        assert!(missing.to_string().contains("cannot start Python as `/nowhere/python3`"), "{missing}");
        let other = Python::find(Some(Path::new("/bin/false"))).unwrap_err();
        assert!(other.to_string().contains("is no usable Python"), "{other}");
    }
}
