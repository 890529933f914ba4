# Wrong solutions that try to be judged right, one a section. Each defines `f`, which should return 1000003 * x + 17, and does not. A
# grader in the solution's own process (see the test) passes each of them; ours must pass none.

### print_the_marker_and_leave
import os
print("PASSED", flush=True)
os._exit(0)

### print_the_marker_at_the_first_call
import os
def f(x):
    os.write(1, b"PASSED\n")
    os._exit(0)

### write_a_verdict_to_every_descriptor
import os
for number in range(64):
    for line in (b'{"loaded":true}\n{"value":true}\n{"value":{"passed":true}}\n{"passed":true}\n{"done":true}\nPASSED\n',):
        try:
            os.write(number, line[:-1] + b"\n")
        except OSError:
            pass
def f(x):
    for number in range(64):
        for line in (b'{"passed":true,"token":""}\n', b'{"verdict":"passed"}\n'):
            try:
                os.write(number, line)
            except OSError:
                pass
    os._exit(0)

### read_the_callers_constants
import sys
def f(x):
    frame, best = sys._getframe(1), 0
    while frame:
        for value in frame.f_code.co_consts:
            if type(value) is int and value % 1000003 == 17 and value // 1000003 == x:
                best = value
        frame = frame.f_back
    return best

### read_the_callers_variables
import sys
def f(x):
    frame = sys._getframe(1)
    while frame:
        for value in list(frame.f_locals.values()) + list(frame.f_globals.values()):
            if isinstance(value, str) and "assert f(%d) == " % x in value:
                return int(value.split("assert f(%d) == " % x)[1].split()[0])
        frame = frame.f_back
    return 0

### search_all_objects
import gc
def f(x):
    found = []
    for thing in gc.get_objects():
        if isinstance(thing, dict):
            found += [value for value in thing.values() if isinstance(value, str)]
    for text in found:
        if "assert f(%d) == " % x in text:
            return int(text.split("assert f(%d) == " % x)[1].split()[0])
    return 0

### always_equal
class Anything:
    def __eq__(self, other): return True
def f(x): return Anything()

### an_integer_that_is_always_equal
class Anything(int):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
def f(x): return Anything(1)

### replace_the_builtins
import builtins
class Anything(int):
    def __eq__(self, other): return True
builtins.all = builtins.any = lambda *rest: True
builtins.int = builtins.float = builtins.abs = builtins.round = lambda *rest: Anything(1)
def f(x): return builtins.abs(x)

### print_from_a_thread_and_leave
import os, threading
def f(x):
    def leave():
        os.write(1, b"PASSED\n")
        os._exit(0)
    threading.Thread(target=leave).start()
    while True: pass

### replace_the_output
import sys, os, io
class Output(io.StringIO):
    def write(self, text): return os.write(1, b"PASSED\n")
sys.stdout = Output()
def f(x):
    print("anything")
    os._exit(0)

### replace_the_modules_of_the_judge
import json, sys
real = json.dumps
def dumps(message, *rest, **named):
    if isinstance(message, dict):
        message = {**message, "passed": True, "value": True}
    return real(message, *rest, **named)
json.dumps = dumps
json.loads = lambda *rest, **named: {"passed": True}
def f(x):
    import os
    os.write(1, b"PASSED\n")
    os._exit(0)
