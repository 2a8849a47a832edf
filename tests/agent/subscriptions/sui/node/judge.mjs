// What the official SDK says of transactions: read as JSON from standard input, answered as JSON.
import { readFileSync } from 'node:fs'
import { bcs } from '@mysten/sui/bcs'
import { Ed25519Keypair } from '@mysten/sui/keypairs/ed25519'
import { Inputs, Transaction, TransactionDataBuilder } from '@mysten/sui/transactions'
import { verifyTransactionSignature } from '@mysten/sui/verify'

const verified = async (bytes, { signature, address }) => {
  try {
    await verifyTransactionSignature(bytes, signature, { address })
    return true
  } catch {
    return false
  }
}

// The same transaction, made by the SDK from its parts.
const built = async ({ sender, gas, calls }) => {
  const tx = new Transaction()
  tx.setSender(sender)
  tx.setGasPayment([gas.coin])
  tx.setGasPrice(BigInt(gas.price))
  tx.setGasBudget(BigInt(gas.budget))
  const argument = (each) => {
    if (each.u64 !== undefined) return tx.pure.u64(BigInt(each.u64))
    return tx.object(each.shared ? Inputs.SharedObjectRef(each.shared) : Inputs.ObjectRef(each.owned))
  }
  for (const each of calls) {
    tx.moveCall({ target: each.target, arguments: each.arguments.map(argument) })
  }
  return tx.build()
}

const answers = []
for (const each of JSON.parse(readFileSync(0, 'utf8'))) {
  const bytes = Uint8Array.from(Buffer.from(each.data, 'base64'))
  const read = bcs.TransactionData.parse(bytes)
  const flipped = bytes.slice()
  flipped[each.flip] ^= 1
  const keypair = Ed25519Keypair.fromSecretKey(each.secret)
  answers.push({
    again: Buffer.from(bcs.TransactionData.serialize(read).toBytes()).toString('base64'),
    digest: TransactionDataBuilder.getDigestFromBytes(bytes),
    signed: await verified(bytes, each),
    flippedSigned: await verified(flipped, each),
    address: keypair.getPublicKey().toSuiAddress(),
    signature: (await keypair.signTransaction(bytes)).signature,
    built: Buffer.from(await built(each.parts)).toString('base64'),
  })
}
console.log(JSON.stringify(answers))
