// Signs and calls as an application with viem does.
import { concat, encodeFunctionData, hashTypedData, recoverTypedDataAddress } from "viem";
import { privateKeyToAccount } from "viem/accounts";

import { serve } from "./typed.mjs";

async function sign(privateKeys, data) {
    const signatures = await Promise.all(privateKeys.map((key) => privateKeyToAccount(key).signTypedData(data)));
    const recover = (signature) => recoverTypedDataAddress({ ...data, signature });
    const signers = await Promise.all(signatures.map(recover));
    return { digest: hashTypedData(data), signature: concat(signatures), signers };
}

const call = (entry, args) => ({ data: encodeFunctionData({ abi: [entry], functionName: entry.name, args }) });

await serve({ sign, call });
