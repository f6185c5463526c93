// What both wallet libraries need: messages and calls from JSON, and answers as JSON.
import { readFileSync } from "node:fs";

const isInteger = (type) => /^u?int/.test(type);
const ofArray = (type) => /^(.*)\[\d*\]$/.exec(type)?.[1];

/** The value as the libraries want it: integers, which JSON has as texts, as BigInt. */
function revived(type, value, types) {
    const element = ofArray(type);
    if (element) return value.map((one) => revived(element, one, types));
    if (types[type]) return revivedStruct(types[type], value, types);
    return isInteger(type) ? BigInt(value) : value;
}

function revivedStruct(fields, message, types) {
    return Object.fromEntries(fields.map((one) => [one.name, revived(one.type, message[one.name], types)]));
}

/** The same for an input of a function. */
function revivedInput(input, value) {
    const element = ofArray(input.type);
    if (element) return value.map((one) => revivedInput({ ...input, type: element }, one));
    if (input.type !== "tuple") return isInteger(input.type) ? BigInt(value) : value;
    return Object.fromEntries(input.components.map((one) => [one.name, revivedInput(one, value[one.name])]));
}

/** A payload of eth_signTypedData_v4, its domain's type left to the library. */
function typedData({ types: { EIP712Domain: _, ...types }, domain, primaryType, message }) {
    return { domain, types, primaryType, message: revivedStruct(types[primaryType], message, types) };
}

/**
 * Answers each job that came on standard input:
 * { privateKeys, typedData } -> { digest, signature, signers }, and { entry, args } -> { data }.
 */
export async function serve({ sign, call }) {
    const answers = [];
    for (const job of JSON.parse(readFileSync(0, "utf8"))) {
        if (job.typedData) answers.push(await sign(job.privateKeys, typedData(job.typedData)));
        else answers.push(call(job.entry, job.entry.inputs.map((one, place) => revivedInput(one, job.args[place]))));
    }
    process.stdout.write(JSON.stringify(answers));
}
