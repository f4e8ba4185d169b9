export { type RedisBudgetOptions, redisBudget } from "./redis-budget.ts"
export type { IoRedisClient, NodeRedisClient, NodeRedisScript, RedisClient } from "./redis-client.ts"
export { type RedisHealthOptions, redisHealth } from "./shared-health.ts"
