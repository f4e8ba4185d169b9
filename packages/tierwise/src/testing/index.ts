export {
  type BudgetStoreUnderTest,
  budgetStoreContract,
  CONTRACT_LIMITS,
} from "./budget-store-contract.ts"
export { chatModelContract } from "./chat-model-contract.ts"
export type { ChatModelSupport, ChatModelUnderTest, ContractPrompts } from "./chat-model-contract-subject.ts"
export { ContractBroken, type ContractCase } from "./contract.ts"
export { estimatorContract } from "./estimator-contract.ts"
export { policyContract } from "./policy-contract.ts"
export { validatorContract } from "./validator-contract.ts"
