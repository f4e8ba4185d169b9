import { DatabaseSync } from "node:sqlite"

/** What a limit of the story is, NanoUsd. */
export interface WatchedLimit {
  readonly scope: string
  readonly most: number
}

export interface Watched {
  /** How often a hold was made, closed, extended or booked. */
  readonly writes: number
  /** How often more was spent and held afterwards than a limit allows. */
  readonly breaches: number
  /** The most that was ever spent and held under a limit, as a share of it. */
  readonly highestShare: number
}

/** What a hold takes of its limits: its quote, until it is known what was spent. */
const taken = (hold: "old" | "new") => `coalesce(${hold}.actual_money, ${hold}.quoted_money)`

/**
 * Has the database itself look at every write of a hold, whichever process makes it, before it can be committed. It adds
 * up the holds alone: what the ledger believes to be spent and held has no part in it. What is seen stands in tables of
 * the watch's own, and is committed with the write.
 */
export function watchLimits(path: string, limits: readonly WatchedLimit[]): void {
  using database = new DatabaseSync(path, { timeout: 5_000 })
  database.exec(`
    create table watch_limits (scope text primary key, most integer not null) strict, without rowid;
    create table watch_sums (
      key text primary key, most integer not null, amount integer not null
    ) strict, without rowid;
    create table watch_breaches (key text not null, amount integer not null) strict;
    create table watch_writes (
      only integer primary key check (only = 1), writes integer not null, highest_share real not null
    ) strict;
    insert into watch_writes values (1, 0, 0);
  `)
  const add = database.prepare("insert into watch_limits values (?, ?)")
  for (const { scope, most } of limits) add.run(scope, most)
  const changes = { insert: taken("new"), update: `${taken("new")} - ${taken("old")}` }
  for (const [event, change] of Object.entries(changes)) {
    database.exec(`
      create trigger watch_${event} after ${event} on tierwise_holds begin
        insert into watch_sums
          select value, (select most from watch_limits where scope = json_extract(value, '$[0]')), 0
          from json_each(new.counters) where true on conflict do nothing;
        update watch_sums set amount = amount + ${change}
          where key in (select value from json_each(new.counters));
        insert into watch_breaches select key, amount from watch_sums
          where key in (select value from json_each(new.counters)) and amount > most;
        update watch_writes set writes = writes + 1, highest_share = max(highest_share, coalesce((
          select max(amount * 1.0 / most) from watch_sums where key in (select value from json_each(new.counters))), 0));
      end
    `)
  }
}

export function readWatch(database: DatabaseSync): Watched {
  const { writes, share, breaches } = database
    .prepare(
      `select writes, highest_share as share, (select count(*) from watch_breaches) as breaches from watch_writes`,
    )
    .get() as { readonly writes: number; readonly share: number; readonly breaches: number }
  return { writes, breaches, highestShare: share }
}
