// What both wallet libraries need: messages from JSON, and answers as JSON.
import { readFileSync } from "node:fs";

/** The value as the libraries want it: integers, which JSON has as texts, as BigInt. */
function revived(type, value, types) {
    const array = /^(.*)\[\d*\]$/.exec(type);
    if (array) return value.map((one) => revived(array[1], one, types));
    if (types[type]) return revivedStruct(type, value, types);
    return /^u?int/.test(type) ? BigInt(value) : value;
}

function revivedStruct(name, message, types) {
    return Object.fromEntries(types[name].map((one) => [one.name, revived(one.type, message[one.name], types)]));
}

/** A payload of eth_signTypedData_v4, its domain's type left to the library. */
export function read(payload) {
    const { EIP712Domain: _, ...types } = payload.types;
    const { domain, primaryType } = payload;
    return { domain, types, primaryType, message: revivedStruct(primaryType, payload.message, types) };
}

/** Answers each job that came on standard input: { privateKeys, typedData } -> { digest, signatures, signers }. */
export async function serve(answer) {
    const jobs = JSON.parse(readFileSync(0, "utf8"));
    const answers = [];
    for (const { privateKeys, typedData } of jobs) answers.push(await answer(privateKeys, read(typedData)));
    process.stdout.write(JSON.stringify(answers));
}
