export { SimulatorConfigError } from "./errors.ts"
export type { FaultRate, Outage, ScriptedFault } from "./faults.ts"
export { type Grade, type GradedReply, type GradedToolCall, grade } from "./grade.ts"
export type { InvoiceLine } from "./invoice.ts"
export {
  DEFAULT_MODELS,
  type LongContextRates,
  type SimulatedLatency,
  type SimulatedModel,
  type SimulatedPrice,
  type SimulatedRates,
  type Skill,
} from "./models.ts"
export type { SimulatorOptions, Sleep } from "./options.ts"
export type { ToolCall } from "./prompt.ts"
export type { ChatMessage, JsonObject, JsonValue, ResponseFormat, ToolDefinition } from "./protocol.ts"
export { type ReadInvoicesOptions, readInvoices } from "./read-invoices.ts"
export type { SeenRequest } from "./request-log.ts"
export { type Simulator, startSimulator } from "./server.ts"
export {
  type SimulatorProcess,
  type SimulatorProcessOptions,
  startSimulatorProcess,
} from "./simulator-process.ts"
export { type SkillRow, type SkillTableOptions, skillTable } from "./skill-table.ts"
export type { Level, Reference, TaskFamily } from "./skills/family.ts"
export { type GenerateTasksOptions, generateTasks, type SyntheticTask } from "./tasks.ts"
