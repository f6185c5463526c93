// Signs as an application with ethers does.
import { concat, TypedDataEncoder, verifyTypedData, Wallet } from "ethers";

import { serve } from "./typed.mjs";

await serve(async (privateKeys, { domain, types, message }) => {
    const sign = (key) => new Wallet(key).signTypedData(domain, types, message);
    const signatures = await Promise.all(privateKeys.map(sign));
    const signers = signatures.map((signature) => verifyTypedData(domain, types, message, signature));
    return { digest: TypedDataEncoder.hash(domain, types, message), signature: concat(signatures), signers };
});
