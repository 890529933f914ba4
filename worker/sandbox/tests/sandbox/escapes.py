# Attempts to get out of the sandbox, one a section. Each is run twice as a program of its own: by plain Python as root, where it must
# succeed, and in the sandbox, where it must not. Before each stands a prelude with what is used here without an import, and SCENE, which
# says where the host's things are. A script that has succeeded prints ESCAPED, unless the test looks at the host for it.

### read_a_secret_file
print(open(SCENE["secret"]).read())

### list_a_folder_of_the_host
print(os.listdir(SCENE["folder"]))

### write_outside
open(SCENE["folder"] + "/written", "w").write("x")

### overwrite_a_file_of_the_host
open(SCENE["secret"], "r+").write("changed")

### symbolic_link_out_of_tmp
link = tempfile.mkdtemp() + "/link"
os.symlink(SCENE["folder"], link)
open(link + "/written", "w").write("x")

### hard_link_to_a_secret
link = SCENE["folder"] + "/written"
os.link(SCENE["secret"], link)

### dot_dot_out_of_the_root
print(open("/.." * 10 + SCENE["secret"]).read())

### read_the_first_process
escaped_if(open("/proc/1/cmdline", "rb").read())

### read_memory_maps_of_another_process
escaped_if(open("/proc/%d/maps" % SCENE["victim"]).read())

### read_the_environment_of_the_parent
print(open("/proc/%d/environ" % os.getppid(), "rb").read().count(b"=") > 3 and "ESCAPED")

### ptrace_another_process
escaped_if(syscall(101, 16, SCENE["victim"], 0, 0) == 0)

### read_memory_of_another_process
start = int(open("/proc/%d/maps" % SCENE["victim"]).readline().split("-")[0], 16)
data = ctypes.create_string_buffer(4)
local, remote = (ctypes.c_size_t * 2)(ctypes.addressof(data), 4), (ctypes.c_size_t * 2)(start, 4)
escaped_if(syscall(310, SCENE["victim"], local, 1, remote, 1, 0) == 4 and data.raw == b"\x7fELF")

### kill_another_process
os.kill(SCENE["victim"], 9)

### kill_a_process_group
os.killpg(SCENE["victim"], 9)

### kill_by_process_descriptor
syscall(424, syscall(434, SCENE["victim"], 0), 9, 0, 0)

### find_a_process_by_trying_numbers
for number in range(2, SCENE["victim"] + 1):
    try:
        os.kill(number, 9 if number == SCENE["victim"] else 0)
    except OSError:
        pass

### steal_a_descriptor_of_another_process
escaped_if(syscall(438, syscall(434, SCENE["victim"], 0), 1, 0) >= 0)

### use_an_inherited_descriptor
for number in range(3, 256):
    try:
        print(os.pread(number, 100, 0))
    except OSError:
        pass

### read_secrets_from_the_environment
print(os.environ.get("CARGO_MANIFEST_DIR"), "ESCAPED" if "CARGO_MANIFEST_DIR" in os.environ else "")

### fork_bomb
children = []
try:
    while len(children) < 200:
        child = os.fork()
        if child == 0:
            signal.pause()
        children.append(child)
except OSError:
    pass
for child in children:
    os.kill(child, 9)
escaped_if(len(children) == 200)

### thread_bomb
threads = []
try:
    while len(threads) < 200:
        threads.append(threading.Thread(target=time.sleep, args=(1,)))
        threads[-1].start()
    print("ESCAPED", flush=True)
finally:
    os._exit(0)

### fill_the_disk
with tempfile.TemporaryDirectory() as folder:
    for number in range(5):
        with open(folder + "/%d" % number, "wb") as file:
            for _ in range(15):
                file.write(b"x" * (1 << 20))
    escaped_if(sum(os.path.getsize(folder + "/" + name) for name in os.listdir(folder)) == 75 << 20)

### fill_the_disk_with_one_file
with tempfile.TemporaryFile() as file:
    for _ in range(24):
        file.write(b"x" * (1 << 20))
    file.flush()
    escaped_if(os.fstat(file.fileno()).st_size == 24 << 20)

### memory_bomb
block = bytearray(1 << 30)
escaped_if(len(block) == 1 << 30)

### memory_bomb_of_many_processes
for _ in range(12):
    if os.fork() == 0:
        block = bytearray(100 << 20)
        time.sleep(0.7)
        os._exit(0)
escaped_if([os.wait()[1] for _ in range(12)] == [0] * 12)

### memory_bomb_of_files_in_memory
files = [os.memfd_create("x") for _ in range(60)]
for file in files:
    os.write(file, b"x" * (10 << 20))
escaped_if(sum(os.fstat(file).st_size for file in files) == 600 << 20)

### tcp_connection
socket.create_connection(("127.0.0.1", SCENE["tcp"]), 2)

### datagram_such_as_a_name_lookup
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"who is example.org?", ("127.0.0.1", SCENE["udp"]))

### listen_for_others
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
print("ESCAPED")

### abstract_socket_of_the_host
socket.socket(socket.AF_UNIX).connect("\0" + SCENE["abstract"])

### socket_file_of_the_host
socket.socket(socket.AF_UNIX).connect(SCENE["folder"] + "/socket")

### raw_socket
escaped_if(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))

### packet_socket
escaped_if(socket.socket(17, socket.SOCK_RAW, 0))

### netlink_socket
escaped_if(socket.socket(16, socket.SOCK_RAW, 0))

### socket_to_the_hypervisor
escaped_if(socket.socket(40, socket.SOCK_STREAM))

### io_uring
escaped_if(syscall(425, 4, ctypes.create_string_buffer(256)) >= 0)

### bpf
escaped_if(syscall(321, 0, struct.pack("IIIII", 2, 4, 4, 1, 0) + bytes(100), 120) >= 0)

### perf_events
escaped_if(syscall(298, struct.pack("IIQ", 1, 112, 0) + bytes(96), 0, -1, -1, 0) >= 0)

### userfaultfd
escaped_if(syscall(323, 0) >= 0)

### kernel_keys
escaped_if(syscall(248, b"user", b"galapagos", b"x", 1, -2) >= 0)

### kernel_log
escaped_if(syscall(103, 3, ctypes.create_string_buffer(4096), 4096) > 0)

### open_a_file_by_its_number
folder = os.open(os.path.dirname(os.__file__), os.O_RDONLY)
handle = ctypes.create_string_buffer(struct.pack("IiII", 8, 1, 2, 0), 64)
escaped_if(syscall(304, folder, handle, 0) >= 0)

### watch_every_file
escaped_if(syscall(300, 0, 0) >= 0)

### mount
place = tempfile.mkdtemp()
if libc.mount(b"none", place.encode(), b"tmpfs", 0, None) == 0:
    libc.umount(place.encode())
    print("ESCAPED")

### unmount_or_remount
place = tempfile.mkdtemp()
escaped_if(in_child(lambda: libc.unshare(0x20000) == 0 and libc.mount(None, b"/", None, 0x1020 | 0x4000, None) == 0))

### user_namespace
escaped_if(in_child(lambda: libc.unshare(0x10000000) == 0))

### user_namespace_by_clone
child = syscall(56, 0x10000000 | 17, 0, 0, 0, 0)
if child == 0:
    os._exit(0)
escaped_if(child > 0)

### namespace_by_clone3
arguments = struct.pack("QQQQQQQQ", 0x10000000, 0, 0, 0, 17, 0, 0, 0)
child = syscall(435, arguments, len(arguments))
if child == 0:
    os._exit(0)
escaped_if(child > 0)

### enter_a_namespace_of_another_process
escaped_if(in_child(lambda: libc.setns(syscall(434, SCENE["victim"], 0), 0x40000000) == 0))

### change_the_root
place = tempfile.mkdtemp()
escaped_if(in_child(lambda: os.chroot(place) is None))

### become_another_user
escaped_if(in_child(lambda: os.setuid(12345) is None))

### gain_capabilities
escaped_if(syscall(126, struct.pack("Ii", 0x20080522, 0), struct.pack("IIIIII", 2, 2, 0, 0, 0, 0)) == 0)

### become_root_by_a_set_user_id_program
place = tempfile.mkdtemp() + "/program"
shutil.copy("/bin/true", place)
os.chown(place, 0, 0)
os.chmod(place, 0o4755)
escaped_if(os.stat(place).st_mode & 0o4000 and os.spawnv(os.P_WAIT, place, ["x"]) == 0)

### run_a_shell
os.system("echo ESCAPED")

### run_an_own_executable
place = tempfile.mkdtemp() + "/program"
open(place, "w").write("#!" + sys.executable + "\nprint('ESCAPED')\n")
os.chmod(place, 0o755)
os.execv(place, [place])

### run_a_file_in_memory
file = os.memfd_create("x", 0)
os.write(file, open("/bin/true", "rb").read())
escaped_if(in_child(lambda: syscall(322, file, b"", (ctypes.c_char_p * 2)(b"x", None), (ctypes.c_char_p * 1)(None), 0x1000)))

### kernel_settings
escaped_if(os.listdir("/sys/kernel") and open("/proc/sys/kernel/hostname").read())

### kernel_messages_device
escaped_if(os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK))

### make_a_device
place = tempfile.mkdtemp() + "/device"
os.mknod(place, stat.S_IFCHR | 0o600, os.makedev(1, 11))
escaped_if(os.open(place, os.O_RDONLY | os.O_NONBLOCK))

### terminal_input
import fcntl, pty, termios
master, slave = pty.openpty()
fcntl.ioctl(slave, termios.TIOCSTI, b"x")
print("ESCAPED")

### shared_memory_of_system_v
number = syscall(29, 0, 4096, 0o1600)
if number >= 0:
    syscall(31, number, 0, 0)
    print("ESCAPED")

### message_queue
name = b"galapagos-%d" % os.getpid()
escaped_if(syscall(240, name, 0o102, 0o600, 0) >= 0)
syscall(241, name)

### shared_memory_files
file = tempfile.TemporaryFile(dir="/dev/shm")
print("ESCAPED")

### set_the_clock
time.clock_settime(time.CLOCK_REALTIME, time.time())
print("ESCAPED")

### reboot
escaped_if(syscall(169, 0xFEE1DEAD, 672274793, 0x89ABCDEF, 0) == 0)

### name_the_host
socket.sethostname(socket.gethostname())
print("ESCAPED")

### random_addresses_off
escaped_if(syscall(135, 0x0040000) >= 0)

### core_dump
import resource
resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))
print("ESCAPED")

### higher_priority
os.setpriority(os.PRIO_PROCESS, 0, -5)
print("ESCAPED")

### locked_memory
escaped_if(syscall(151, 1) == 0)

### endless_output
for _ in range(100):
    print("x" * 99999)

### sleep_past_the_deadline
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
    signal.signal(number, signal.SIG_IGN)
time.sleep(SCENE["long"])
print("ESCAPED")

### compute_past_the_deadline
end = time.monotonic() + SCENE["long"]
while time.monotonic() < end:
    pass
print("ESCAPED")

### talk_past_the_deadline
end = time.monotonic() + SCENE["long"]
while time.monotonic() < end:
    os.write(1, b".")
    time.sleep(0.001)
print("ESCAPED")

### thread_that_lives_on
threading.Thread(target=lambda: (time.sleep(SCENE["long"]), print("ESCAPED", flush=True))).start()

### daemon_that_survives
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        syscall(157, 15, SCENE["daemon"].encode(), 0, 0, 0)
        for number in range(3):
            os.close(number)
        time.sleep(3)
    os._exit(0)
os.wait()
time.sleep(0.2)
