"use strict";
/*
 * The official WebAssembly build of solc (npm package `solc`) behind the command line of the native compiler, as far
 * as py-solc-x uses it: `--version`, and `--standard-json [--base-path DIR]` on standard input.
 *
 * When the input names its files one by one, as Ape's does, every file is compiled alone with exactly the sources it
 * imports. Its bytecode then depends on nothing else in the project: a changed file costs only the files that import
 * it, results are kept by the hash of their input, and a clean build equals an incremental one to the byte.
 *
 * A native solc of the same version and commit is used where one is installed; the bytecode is the same.
 */
const childProcess = require("node:child_process");
const crypto = require("node:crypto");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const zlib = require("node:zlib");
const { Worker, isMainThread, parentPort, workerData } = require("node:worker_threads");

const ROOT = path.resolve(__dirname, "..", "..");
const CACHE = path.join(ROOT, ".local", "solc");
const INPUTS = path.join(ROOT, ".build", "inputs");
const CACHE_FORMAT = 2; // part of every key: raise it when what is stored changes
const CACHE_ENTRIES = 600;
// Asked of every contract, so that whoever asks for less finds it in the cache.
const OUTPUTS = [
    "abi", "devdoc", "userdoc", "metadata", "evm.methodIdentifiers",
    "evm.bytecode.object", "evm.bytecode.sourceMap", "evm.bytecode.linkReferences",
    "evm.deployedBytecode.object", "evm.deployedBytecode.sourceMap", "evm.deployedBytecode.immutableReferences",
    "evm.deployedBytecode.linkReferences",
];
const STACK_MB = 64; // the Yul optimizer recurses deeply

class Fatal extends Error {}

// ---------------------------------------------------------------------------------------------- reading sources

/** The text of an imported source unit, or undefined. Units live in the project compiled, or in node_modules. */
function readUnit(name, base) {
    const clean = path.posix.normalize(name);
    if (path.isAbsolute(clean) || clean.startsWith("..")) return undefined;
    const places = [base, path.join(ROOT, "node_modules")];
    if (clean.startsWith("node_modules/")) places.push(ROOT);
    for (const place of places) {
        try {
            return fs.readFileSync(path.join(place, clean), "utf8");
        } catch (error) {
            if (!["ENOENT", "ENOTDIR", "EISDIR"].includes(error.code)) throw error;
        }
    }
    return undefined;
}

/** The paths a source text imports, as written. */
function importPaths(text) {
    const token = /"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|\/\/[^\n]*|\/\*[\s\S]*?\*\//g;
    const code = text.replace(token, (found) => (found[0] === "/" ? " " : found));
    const statement = /\bimport\s*(?:[\w\s{},*$]*?\bfrom\s*)?(?:"([^"]+)"|'([^']+)')/g;
    return Array.from(code.matchAll(statement), (match) => match[1] ?? match[2]);
}

/** The name solc gives to what `importer` imports as `written`: relative paths resolved, then remapped. */
function unitName(written, importer, remappings) {
    const relative = written.startsWith("./") || written.startsWith("../");
    const name = relative ? path.posix.join(path.posix.dirname(importer), written) : written;
    let best;
    for (const { context, prefix, target } of remappings) {
        if (!importer.startsWith(context) || !name.startsWith(prefix)) continue;
        const longer = !best || context.length > best.context.length ||
            (context.length === best.context.length && prefix.length >= best.prefix.length);
        if (longer) best = { context, prefix, target };
    }
    return best ? best.target + name.slice(best.prefix.length) : name;
}

function parseRemapping(text) {
    const [, context = "", prefix, target] = /^(?:([^:=]*):)?([^=]*)=(.*)$/.exec(text) ?? [];
    if (prefix === undefined) throw new Fatal(`invalid remapping ${text}`);
    return { context, prefix, target };
}

/** Everything `unit` needs, as the `sources` of a complete standard JSON input in the order of their names. */
function closure(unit, read, remappings) {
    const found = new Map();
    const waiting = [unit];
    while (waiting.length) {
        const name = waiting.pop();
        if (found.has(name)) continue;
        const source = read(name);
        if (source === undefined) continue; // solc words the error better
        found.set(name, source.text);
        source.imports ??= importPaths(source.text);
        for (const written of source.imports) waiting.push(unitName(written, name, remappings));
    }
    return Object.fromEntries([...found.keys()].sort().map((name) => [name, { content: found.get(name) }]));
}

// ---------------------------------------------------------------------------------------------- the compiler

/** solc in this thread: (input text, reader of imports) -> output text. */
function loadWasm(compiler) {
    const solc = require(path.join(ROOT, "node_modules", compiler.package, "soljson.js"));
    const loaded = solc.UTF8ToString(solc._solidity_version());
    if (!loaded.startsWith(compiler.version)) throw new Fatal(`expected solc ${compiler.version}, loaded ${loaded}`);

    // Strings go through solc's own allocator: emscripten's `ccall` would put them on its small stack.
    const toC = (text) => {
        const size = solc.lengthBytesUTF8(text) + 1;
        const pointer = solc._solidity_alloc(size);
        if (!pointer) throw new Fatal("solc is out of memory");
        solc.stringToUTF8(text, pointer, size);
        return pointer;
    };
    let reader;
    const callback = solc.addFunction((_context, kind, data, contents, error) => {
        const text = solc.UTF8ToString(kind) === "source" ? reader(solc.UTF8ToString(data)) : undefined;
        if (text === undefined) solc.setValue(error, toC("File not found."), "*");
        else solc.setValue(contents, toC(text), "*");
    }, "viiiii");

    return (input, read) => {
        reader = read;
        const output = solc.UTF8ToString(solc._solidity_compile(toC(input), callback, 0));
        solc._solidity_reset();
        return output;
    };
}

/** Not a script: a version manager's wrapper may want the network. */
function isProgram(file) {
    const start = Buffer.alloc(2);
    try {
        const handle = fs.openSync(file, "r");
        fs.readSync(handle, start, 0, 2, 0);
        fs.closeSync(handle);
    } catch {
        return false;
    }
    return start.toString("latin1") !== "#!";
}

/** A native solc of exactly this version and commit, on PATH or where solcx and svm keep theirs. */
function findNative(compiler) {
    const number = compiler.version.split("+")[0];
    const home = os.userInfo().homedir;
    const places = (process.env.PATH ?? "").split(path.delimiter).filter(Boolean).map((dir) => path.join(dir, "solc"));
    places.push(
        path.join(home, ".solcx", `solc-v${number}`),
        path.join(home, ".svm", number, `solc-${number}`),
        path.join(home, ".local", "share", "svm", number, `solc-${number}`),
        path.join(home, "Library", "Application Support", "svm", number, `solc-${number}`),
    );
    for (const place of places) {
        if (!isProgram(place)) continue;
        const answer = childProcess.spawnSync(place, ["--version"], { encoding: "utf8", timeout: 10_000 });
        if (answer.status !== 0 || !answer.stdout.includes(`Version: ${compiler.version}`)) continue;
        if (!answer.stdout.includes("Emscripten")) return place;
    }
    return undefined;
}

function runNative(binary, input, base) {
    const options = { input, encoding: "utf8", maxBuffer: 1 << 30, cwd: base };
    const answer = childProcess.spawnSync(binary, ["--standard-json", "--base-path", base], options);
    if (answer.status !== 0) throw new Fatal(`${binary} failed: ${answer.stderr || answer.error || answer.signal}`);
    return answer.stdout;
}

/** The WebAssembly build prints negative AST ids (the built-in `this`, `msg` ...) as unsigned 32-bit numbers. */
function restoreSigns(node) {
    if (Array.isArray(node)) return node.map(restoreSigns);
    if (node === null || typeof node !== "object") {
        return Number.isInteger(node) && node >= 2 ** 31 && node < 2 ** 32 ? node - 2 ** 32 : node;
    }
    for (const key of Object.keys(node)) node[key] = restoreSigns(node[key]);
    return node;
}

/** Compiles one job: { input, base }. Returns the parsed output and the imports that solc had to ask for. */
function compileJob(compiler, state, job) {
    const asked = {};
    let text;
    if (compiler.native && job.complete) {
        text = runNative(compiler.native, JSON.stringify(job.input), job.base);
    } else {
        state.compile ??= loadWasm(compiler);
        text = state.compile(JSON.stringify(job.input), (name) => {
            const found = readUnit(name, job.base);
            if (found !== undefined) asked[name] = hash(found);
            return found;
        });
    }
    let output;
    try {
        output = JSON.parse(text);
    } catch (error) {
        throw new Fatal(`solc returned ${text.length} characters that are not JSON: ${error.message}`);
    }
    for (const source of Object.values(output.sources ?? {})) {
        if (source.ast) source.ast = restoreSigns(source.ast);
    }
    return { output, asked };
}

/** Runs the jobs on as many threads as there are cores, the largest first. Each result is passed to `done`. */
function compileAll(compiler, jobs, done) {
    if (!jobs.length) return Promise.resolve();
    const queue = [...jobs].sort((a, b) => b.size - a.size);
    const count = Math.min(queue.length, Math.max(1, os.cpus().length), 8);
    const workers = [];
    const run = () => new Promise((resolve, reject) => {
        const worker = new Worker(__filename, {
            workerData: compiler,
            resourceLimits: { stackSizeMb: STACK_MB, maxOldGenerationSizeMb: 8192 },
        });
        workers.push(worker);
        let current;
        const next = () => {
            current = queue.shift();
            if (current) worker.postMessage(current.job);
            else worker.terminate().then(resolve);
        };
        worker.on("message", ({ result, failure }) => {
            if (failure) return reject(new Fatal(`${current.name}: ${failure}`));
            try {
                done(current, result);
            } catch (error) {
                return reject(error);
            }
            next();
        });
        worker.on("error", (error) => reject(new Fatal(`${current?.name}: ${error.stack ?? error}`)));
        worker.on("exit", (code) => (code && current ? reject(new Fatal(`${current.name}: exit ${code}`)) : resolve()));
        next();
    });
    const all = Promise.all(Array.from({ length: count }, run));
    return all.catch(async (error) => {
        await Promise.all(workers.map((worker) => worker.terminate()));
        throw error;
    });
}

function workerMain() {
    const state = {};
    parentPort.on("message", (job) => {
        try {
            parentPort.postMessage({ result: compileJob(workerData, state, job) });
        } catch (error) {
            parentPort.postMessage({ failure: error.stack ?? String(error) });
        }
    });
}

// ---------------------------------------------------------------------------------------------- the cache

/** The same value with the keys of its objects in order. */
function sorted(value) {
    if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
    return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]));
}

const hash = (text) => crypto.createHash("sha256").update(text).digest("hex");

function cacheRead(key) {
    const file = path.join(CACHE, `${key}.json.gz`);
    try {
        const entry = JSON.parse(zlib.gunzipSync(fs.readFileSync(file)).toString("utf8"));
        const now = new Date();
        fs.utimesSync(file, now, now); // the oldest entries are dropped first
        return entry;
    } catch {
        return undefined; // absent, or cut short: compile again
    }
}

function writeFile(file, data) {
    const draft = `${file}.${process.pid}.${crypto.randomBytes(4).toString("hex")}`;
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(draft, data);
    fs.renameSync(draft, file);
}

function cacheWrite(key, entry) {
    writeFile(path.join(CACHE, `${key}.json.gz`), zlib.gzipSync(JSON.stringify(entry), { level: 1 }));
}

function cachePrune() {
    const files = fs.readdirSync(CACHE).map((name) => path.join(CACHE, name));
    if (files.length <= CACHE_ENTRIES) return;
    const aged = files.map((file) => ({ file, time: fs.statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0 }));
    aged.sort((a, b) => b.time - a.time);
    for (const { file } of aged.slice(CACHE_ENTRIES)) fs.rmSync(file, { force: true });
}

// ---------------------------------------------------------------------------------------------- standard JSON

/** Compiles the input as it is. The entry is valid as long as the imports that solc asked for have not changed. */
async function compileWhole(compiler, input, base) {
    const key = hash(JSON.stringify([CACHE_FORMAT, compiler.version, "whole", base, input]));
    const entry = cacheRead(key);
    const same = ([name, digest]) => {
        const text = readUnit(name, base);
        return text !== undefined && hash(text) === digest;
    };
    if (entry && Object.entries(entry.asked).every(same)) return entry.output;
    let output;
    const job = { job: { input, base, complete: false }, name: "input", size: 0 };
    await compileAll(compiler, [job], (_job, result) => {
        output = result.output;
        if (!failed(output)) cacheWrite(key, result);
    });
    return output;
}

const failed = (output) => (output.errors ?? []).some((error) => error.severity === "error");

/** Compiles every file of the input with its own imports only, and merges what comes out. */
async function compileByUnit(compiler, input, base) {
    const { outputSelection, ...settings } = input.settings;
    const remappings = (settings.remappings ?? []).map(parseRemapping);
    const sources = new Map();
    const read = (name) => {
        if (!sources.has(name)) {
            const text = input.sources[name]?.content ?? readUnit(name, base);
            sources.set(name, text === undefined ? undefined : { text });
        }
        return sources.get(name);
    };

    const outputs = new Map();
    const jobs = [];
    for (const name of Object.keys(outputSelection)) {
        const unitInput = {
            language: "Solidity",
            sources: closure(name, read, remappings),
            settings: sorted({ ...settings, outputSelection: { [name]: { "*": OUTPUTS, "": ["ast"] } } }),
        };
        const text = JSON.stringify(unitInput);
        const key = hash(JSON.stringify([CACHE_FORMAT, compiler.version, "unit", text]));
        const entry = cacheRead(key);
        if (entry) outputs.set(name, { output: entry.output, input: unitInput });
        else jobs.push({ job: { input: unitInput, base, complete: true }, name, key, size: text.length });
    }
    await compileAll(compiler, jobs, ({ job, name, key }, { output, asked }) => {
        outputs.set(name, { output, input: job.input });
        if (!failed(output) && !Object.keys(asked).length) cacheWrite(key, { output });
    });

    const merged = { contracts: {}, errors: [], sources: {} };
    const seen = new Set();
    for (const name of Object.keys(outputSelection)) {
        const { output, input: unitInput } = outputs.get(name);
        if (output.contracts?.[name]) merged.contracts[name] = output.contracts[name];
        if (output.sources?.[name]) merged.sources[name] = { ...output.sources[name] };
        if (!outputSelection[name][""]?.includes("ast")) delete merged.sources[name]?.ast;
        for (const error of output.errors ?? []) {
            const text = error.formattedMessage ?? error.message;
            if (!seen.has(text)) merged.errors.push(error);
            seen.add(text);
        }
        if (outputSelection[name]["*"]) saveInput(name, unitInput, output);
    }
    if (!merged.errors.length) delete merged.errors;
    return merged;
}

/** Keeps the complete input of each contract that Ape compiles: from it, any solc makes the very same bytes again. */
function saveInput(name, input, output) {
    const deployable = Object.entries(output.contracts?.[name] ?? {}).filter(([, one]) => one.evm?.bytecode?.object);
    if (!deployable.length || !name.startsWith("contracts/")) return;
    const content = JSON.stringify(input);
    for (const [contract] of deployable) {
        const file = path.join(INPUTS, `${contract}.json`);
        if (!fs.existsSync(file) || fs.readFileSync(file, "utf8") !== content) writeFile(file, content);
    }
}

function parseArguments(args) {
    const options = { base: process.cwd() };
    for (let index = 0; index < args.length; index++) {
        const [flag, inline] = args[index].split(/=(.*)/s, 2);
        const value = () => inline ?? args[++index] ?? fail(`${flag} needs a value`);
        if (flag === "--version") options.version = true;
        else if (flag === "--standard-json") options.standardJson = true;
        else if (flag === "--base-path") options.base = path.resolve(value());
        else if (flag === "--allow-paths") value(); // reading is confined to the base path and node_modules anyway
        else if (flag !== "-") fail(`unrecognised option '${flag}'`);
    }
    return options;
}

function fail(message) {
    throw new Fatal(message);
}

async function run(compiler) {
    const options = parseArguments(process.argv.slice(2));
    if (options.version) {
        const title = "solc, the solidity compiler commandline interface";
        return `${title}\nVersion: ${compiler.version}.Emscripten.clang\n`;
    }
    if (!options.standardJson) fail("only --version and --standard-json are supported");
    let input;
    try {
        input = JSON.parse(fs.readFileSync(0, "utf8"));
    } catch (error) {
        fail(`the standard JSON input cannot be read: ${error.message}`);
    }
    compiler.native = findNative(compiler);
    fs.mkdirSync(CACHE, { recursive: true });
    const selected = Object.keys(input.settings?.outputSelection ?? {});
    const byUnit = input.language === "Solidity" && selected.length > 0 &&
        selected.every((name) => typeof input.sources[name]?.content === "string");
    const output = await (byUnit ? compileByUnit : compileWhole)(compiler, input, options.base);
    cachePrune();
    return JSON.stringify(output);
}

/** compiler: { package: the npm package in node_modules, version: "x.y.z+commit.abcdef" } */
exports.main = (compiler) => {
    run(compiler).then(
        (text) => process.stdout.write(text),
        (error) => {
            process.stderr.write(`Error: ${error instanceof Fatal ? error.message : error.stack}\n`);
            process.exitCode = 1;
        },
    );
};

if (!isMainThread && workerData?.package) workerMain();
