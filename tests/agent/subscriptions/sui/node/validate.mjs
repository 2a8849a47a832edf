// Whether documents are valid by the schema that the SDK brings: JSON from standard input, the errors of each as JSON.
import { readFileSync } from 'node:fs'
import { buildSchema, parse, validate } from 'graphql'

const schema = buildSchema(
  readFileSync('node_modules/sui-of-the-schema/src/graphql/generated/schema.graphql', 'utf8'),
)
const documents = JSON.parse(readFileSync(0, 'utf8'))
console.log(JSON.stringify(documents.map((each) => validate(schema, parse(each)).map(String))))
