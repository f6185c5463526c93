// Signs and calls as an application with ethers does.
import { concat, Interface, TypedDataEncoder, verifyTypedData, Wallet } from "ethers";

import { serve } from "./typed.mjs";

async function sign(privateKeys, { domain, types, message }) {
    const signOne = (key) => new Wallet(key).signTypedData(domain, types, message);
    const signatures = await Promise.all(privateKeys.map(signOne));
    const signers = signatures.map((signature) => verifyTypedData(domain, types, message, signature));
    return { digest: TypedDataEncoder.hash(domain, types, message), signature: concat(signatures), signers };
}

const call = (entry, args) => ({ data: new Interface([entry]).encodeFunctionData(entry.name, args) });

await serve({ sign, call });
