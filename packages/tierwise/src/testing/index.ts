export {
  type BudgetStoreUnderTest,
  budgetStoreContract,
  CONTRACT_LIMITS,
} from "./budget-store-contract.ts"
export { ContractBroken, type ContractCase } from "./contract.ts"
export { estimatorContract } from "./estimator-contract.ts"
export { policyContract } from "./policy-contract.ts"
export { validatorContract } from "./validator-contract.ts"
