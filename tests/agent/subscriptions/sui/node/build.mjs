// Compile one double with signature-only packages of the framework, and print its modules as a JSON array of base64.
import { readFileSync } from 'node:fs'
import { dumpMovePackage, initMovePackageBuilder } from '@zktx.io/sui-move-builder'

const [folder, abi] = process.argv.slice(2)
const read = (name) => readFileSync(`${folder}/${name}`, 'utf8')
const manifest = (name, address, value, more = '') =>
  `[package]\nname = "${name}"\nedition = "2024"\n[addresses]\n${address} = "${value}"\n${more}`
const local = {
  std: {
    'Move.toml': manifest('MoveStdlib', 'std', '0x1'),
    'sources/std.move': read('framework/std.move'),
  },
  sui: {
    'Move.toml': manifest('Sui', 'sui', '0x2', '[dependencies]\nMoveStdlib = { local = "../std" }\n'),
    'sources/sui.move': read('framework/sui.move'),
  },
}
const files = {
  'Move.toml': manifest(
    'Double', 'double', '0x0',
    '[dependencies]\nSui = { local = "../sui" }\nMoveStdlib = { local = "../std" }\n',
  ),
  'sources/db.move': read(`${abi}/db.move`),
}
const fetcher = { fetchLocal: async (path) => local[path.split('/').pop()] }
await initMovePackageBuilder()
const built = await dumpMovePackage({ files, fetcher })
if ('error' in built) {
  console.error(built.category, built.error)
  process.exit(1)
}
console.log(JSON.stringify(built.modules))
