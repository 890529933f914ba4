# What waits inside an interpreter of the pool. It gets one solution over the channel, runs it, and sends values back.
# Nothing that it says is believed but values: the solution shares its process and may say whatever it likes in its place.
# The exception is the request "assert", whose program is the task's own: the solution's functions are in another sandbox.
import gc, sys

# Nothing that is made until the solution comes is garbage.
gc.disable()


def main(fd):
    import os, json, builtins, types, signal
    # Ready before they are asked for: most solutions import some of them. Others would cost more than they save.
    import math, collections, itertools, functools, re, string, heapq, bisect, typing, operator

    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)
    LINE = 8 << 20
    buffered = bytearray()

    def send(message):
        line = json.dumps(message, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"
        while line:
            line = line[os.write(fd, line):]

    def receive():
        while True:
            end = buffered.find(b"\n")
            if end >= 0:
                line = bytes(buffered[:end])
                del buffered[:end + 1]
                return json.loads(line)
            piece = os.read(fd, 65536)
            if not piece:
                os._exit(0)
            buffered.extend(piece)

    def text_of(error):
        try:
            said = str(error)
        except BaseException:
            said = "(no text)"
        name = type(error).__name__
        line = name + ": " + said if said else name
        return line[:500].encode("utf-8", "replace").decode("utf-8")

    class Unsupported(Exception):
        pass

    def encode(value, other=None):
        kind = type(value)
        if value is None or kind is bool:
            return value
        if isinstance(value, int):
            value = int(value)
            return value if -(1 << 63) <= value < (1 << 64) else {"$": "int", "v": str(value)}
        if isinstance(value, float):
            value = float(value)
            return value if math.isfinite(value) else {"$": "float", "v": repr(value)}
        if isinstance(value, str):
            value = str.__str__(value)
            try:
                value.encode("utf-8")
            except UnicodeEncodeError:
                raise ValueError("a string that is no Unicode text") from None
            return value
        if isinstance(value, list):
            return [encode(item, other) for item in list.__iter__(value)]
        if isinstance(value, tuple):
            return {"$": "tuple", "v": [encode(item, other) for item in tuple.__iter__(value)]}
        if isinstance(value, dict):
            items = list(dict.items(value))
            if all(type(key) is str and not key.startswith("$") for key, _ in items):
                return {key: encode(item, other) for key, item in items}
            return {"$": "dict", "v": [[encode(key, other), encode(item, other)] for key, item in items]}
        if isinstance(value, (set, frozenset)):
            return {"$": "set", "v": [encode(item, other) for item in value]}
        if isinstance(value, (bytes, bytearray)):
            return {"$": "bytes", "v": bytes(value).hex()}
        if isinstance(value, complex):
            return {"$": "complex", "v": [encode(value.real), encode(value.imag)]}
        if other is not None:
            return other(value)
        raise Unsupported("a value of type " + kind.__name__)

    def decode(value, other=None):
        if type(value) is list:
            return [decode(item, other) for item in value]
        if type(value) is not dict:
            return value
        if "$" not in value:
            return {key: decode(item, other) for key, item in value.items()}
        kind, inner = value["$"], value.get("v")
        if kind == "int":
            return int(inner)
        if kind == "float":
            return float(inner)
        if kind == "tuple":
            return tuple([decode(item, other) for item in inner])
        if kind == "set":
            return set([decode(item, other) for item in inner])
        if kind == "dict":
            return {decode(key, other): decode(item, other) for key, item in inner}
        if kind == "bytes":
            return bytes.fromhex(inner)
        if kind == "complex":
            return complex(*[decode(part) for part in inner])
        if kind == "ref" and other is not None:
            return other(inner)
        raise ValueError("a value of kind " + str(kind))

    def module(name):
        made = types.ModuleType(name)
        made.__dict__["__builtins__"] = builtins
        sys.modules[name] = made
        return made.__dict__

    def compiled(code, name):
        try:
            return compile(code, name, "exec"), None
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
            return None, text_of(error)

    def loaded(code):
        """The solution's names, or None after the reason was sent."""
        program, error = compiled(code, "<solution>")
        if program is None:
            send({"compile_error": error})
            return None
        names = module("solution")
        try:
            exec(program, names)
        except BaseException as error:
            send({"raised": text_of(error), "memory": isinstance(error, MemoryError)})
            return None
        send({"loaded": True})
        return names

    def calls(request):
        names = loaded(request["code"])
        if names is None:
            return
        for call in request["calls"]:
            try:
                function = names[call["function"]] if call["function"] in names else None
                if function is None:
                    raise NameError("there is no `" + call["function"] + "`")
                value = function(*decode(call["arguments"]), **decode(call["named"]))
                send({"value": encode(value)})
            except BaseException as error:
                send({"raised": text_of(error), "memory": isinstance(error, MemoryError)})

    def steps(request):
        names = module("__main__")
        for number, code in enumerate(request["steps"]):
            program, error = compiled(code, "<step %d>" % (number + 1))
            if program is not None:
                try:
                    exec(program, names)
                except BaseException as raised:
                    error = text_of(raised)
            send({"step": "ok"} if error is None else {"step": "raised", "text": error})
            if error is not None:
                return

    def one_run(program, code_input, code_output):
        """In a child: becomes the solution's program, and never returns."""
        status = 1
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
            os.close(fd)
            os.dup2(code_input, 0)
            os.dup2(code_output, 1)
            os.close(code_input)
            os.close(code_output)
            sys.stdin = open(0, "r", encoding="utf-8", errors="surrogateescape", closefd=False)
            sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)
            sys.argv = ["main.py"]
            names = module("__main__")
            try:
                exec(program, names)
                status = 0
            except SystemExit as end:
                status = 0 if end.code is None else end.code if isinstance(end.code, int) else 1
            except BaseException as error:
                sys.stderr.write(text_of(error) + "\n")
                status = 79 if isinstance(error, MemoryError) else 1
            sys.stdout.flush()
        except BaseException:
            status = status or 1
        finally:
            os._exit(status & 255)

    def whole(file):
        os.lseek(file, 0, 0)
        data = bytearray()
        while len(data) <= LINE:
            piece = os.read(file, 65536)
            if not piece:
                break
            data.extend(piece)
        return bytes(data)

    def scratch(name):
        try:
            path = "/tmp/" + name
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            os.unlink(path)
            return file
        except OSError:
            # There is no /tmp of one's own, and then files in memory are allowed.
            return os.memfd_create(name)

    def inputs(request):
        import time
        program, error = compiled(request["code"], "<solution>")
        if program is None:
            return send({"compile_error": error})
        send({"loaded": True})
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        for text in request["inputs"]:
            given, taken = scratch(".input"), scratch(".output")
            data = text.encode("utf-8")
            while data:
                data = data[os.write(given, data):]
            os.lseek(given, 0, 0)
            child = os.fork()
            if child == 0:
                one_run(program, given, taken)
            deadline = time.monotonic() + request["each_ms"] / 1000
            late = False
            while True:
                ended, status = os.waitpid(child, 0 if late else os.WNOHANG)
                if ended == child:
                    break
                left = deadline - time.monotonic()
                if left > 0:
                    signal.sigtimedwait([signal.SIGCHLD], left)
                else:
                    late = True
                    os.kill(child, signal.SIGKILL)
            output = whole(taken)
            os.close(given)
            os.close(taken)
            code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
            said = {"late": late, "code": code, "too_much": len(output) > request["output_bytes"]}
            said["output"] = output[:request["output_bytes"]].decode("utf-8", "replace")
            send(said)

    def serve(request):
        names = loaded(request["code"])
        if names is None:
            return
        held = []

        def hold(value):
            held.append(value)
            return {"$": "ref", "v": {"id": len(held) - 1, "type": type(value).__name__, "callable": callable(value)}}

        def held_by(ref):
            return held[ref["id"]]

        while True:
            asked = receive()
            try:
                kind = asked["ask"]
                if kind == "name":
                    if asked["name"] not in names:
                        send({"missing": True})
                        continue
                    value = names[asked["name"]]
                    send({"value": encode(value, hold)})
                    continue
                target = held[asked["id"]]
                if kind == "attribute":
                    value = getattr(target, asked["name"])
                elif kind == "item":
                    value = target[decode(asked["key"], held_by)]
                elif kind == "length":
                    value = len(target)
                elif kind == "list":
                    value = list(target)
                elif kind == "text":
                    value = str(target)
                else:
                    arguments = decode(asked["arguments"], held_by)
                    named = decode(asked["named"], held_by)
                    value = target(*arguments, **named)
                    if isinstance(value, types.GeneratorType):
                        value = list(value)
                    # A function may change its arguments; who called must see it.
                    send({"value": encode(value, hold), "arguments": encode(arguments, hold)})
                    continue
                send({"value": encode(value, hold)})
            except BaseException as error:
                bases = [base.__name__ for base in type(error).__mro__]
                send({"raised": text_of(error), "text": text_of(error), "bases": bases,
                      "memory": isinstance(error, MemoryError)})

    def judge(request):
        token = request["token"]

        class Raised(Exception):
            """The solution raised something that no test can expect."""

        class Ended(BaseException):
            pass

        from_solution = []

        def ask(message):
            send({"ask": message})
            answer = receive()
            if "raised" in answer:
                said = str(answer.get("text"))
                bases = answer.get("bases") if isinstance(answer.get("bases"), list) else []
                # Only kinds of errors that a test may catch; a solution's assertion is not the test's.
                for name in bases:
                    kind = getattr(builtins, name, None) if isinstance(name, str) else None
                    if isinstance(kind, type) and issubclass(kind, Exception) and kind not in (AssertionError, Exception):
                        error = None
                        try:
                            error = kind(said.partition(": ")[2])
                        except TypeError:
                            continue
                        from_solution.append(error)
                        raise error
                error = Raised(said)
                from_solution.append(error)
                raise error
            return answer

        def given(ref):
            return Ref(int(ref["id"]), str(ref["type"]), bool(ref["callable"]))

        def out(value):
            if type(value) is Ref:
                return {"$": "ref", "v": {"id": object.__getattribute__(value, "_id")}}
            raise Unsupported("a value of type " + type(value).__name__ + " as an argument of the solution")

        def value_of(answer):
            return decode(answer["value"], given)

        class Ref:
            """Something in the solution's sandbox. Equality is identity here: the solution has no say in it."""

            __slots__ = ("_id", "_type", "_callable")

            def __init__(self, number, kind, can_call):
                object.__setattr__(self, "_id", number)
                object.__setattr__(self, "_type", kind)
                object.__setattr__(self, "_callable", can_call)

            def __call__(self, *arguments, **named):
                number = object.__getattribute__(self, "_id")
                answer = ask({"ask": "call", "id": number, "arguments": encode(list(arguments), out),
                              "named": encode(named, out)})
                value = value_of(answer)
                changed = decode(answer["arguments"], given) if "arguments" in answer else []
                for before, after in zip(arguments, changed if type(changed) is list else []):
                    if type(before) is list and type(after) is list:
                        before[:] = after
                    elif type(before) in (dict, set) and type(after) is type(before):
                        before.clear()
                        before.update(after)
                return value

            def __getattr__(self, name):
                if name.startswith("__"):
                    raise AttributeError(name)
                return value_of(ask({"ask": "attribute", "id": object.__getattribute__(self, "_id"), "name": name}))

            def __getitem__(self, key):
                number = object.__getattribute__(self, "_id")
                return value_of(ask({"ask": "item", "id": number, "key": encode(key, out)}))

            def __len__(self):
                return value_of(ask({"ask": "length", "id": object.__getattribute__(self, "_id")}))

            def __iter__(self):
                return iter(value_of(ask({"ask": "list", "id": object.__getattribute__(self, "_id")})))

            def __str__(self):
                return value_of(ask({"ask": "text", "id": object.__getattribute__(self, "_id")}))

            def __bool__(self):
                return True

        def free_names(program):
            import symtable
            found = set()

            def visit(table):
                for symbol in table.get_symbols():
                    if symbol.is_global() or (table.get_type() == "module" and not symbol.is_assigned()):
                        if symbol.is_referenced():
                            found.add(symbol.get_name())
                for child in table.get_children():
                    visit(child)

            top = symtable.symtable(program, "<test>", "exec")
            visit(top)
            own = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
            return sorted(name for name in found - own if not hasattr(builtins, name))

        for program in request["programs"]:
            code, error = compiled(program, "<test>")
            if code is None:
                send({"token": token, "broken": error})
                return
            names = module("test")
            outcome = {}
            try:
                for name in request["names"] if request["names"] is not None else free_names(program):
                    answer = ask({"ask": "name", "name": name})
                    if "missing" not in answer:
                        names[name] = value_of(answer)
                exec(code, names)
                outcome["passed"] = True
            except AssertionError as error:
                outcome["failed"] = text_of(error)
            except Unsupported as error:
                outcome["unsupported"] = text_of(error)
            except BaseException as error:
                kind = "raised" if any(error is raised for raised in from_solution) else "failed"
                outcome[kind] = text_of(error)
            outcome["token"] = token
            send(outcome)

    gc.freeze()
    gc.enable()
    send({"ready": True})
    request = receive()
    {"calls": calls, "steps": steps, "inputs": inputs, "serve": serve, "assert": judge}[request["do"]](request)
    send({"done": True})
    # Without the tidying up of an end that nobody waits for.
    os._exit(0)


main(int(sys.argv[1]))
