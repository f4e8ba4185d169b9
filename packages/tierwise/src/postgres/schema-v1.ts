import {
  BOOKED_ID_MS,
  CLOSED_ID_MS,
  KEPT_AFTER_USE_MS,
  LATE_CLOSING_MS,
  SWEEP_AT_MOST,
} from "../budget/ledger-engine.ts"
import type { BudgetUnit } from "../spec/budget.ts"

/** How many steps drop what nobody will ask for any more, and how much at most: more than all steps make. */
const FORGET_SHARE = 1 / 8
const FORGET_AT_MOST = 128

const MOST = Number.MAX_SAFE_INTEGER

/** Of each unit, the constraint that keeps its counters in the range in which JavaScript's numbers are exact. */
export const MOST_OF: Readonly<Record<BudgetUnit, string>> = {
  NanoUsd: "tierwise_most_money",
  tokens: "tierwise_most_tokens",
}

/** True for numbers that a step can have written, but for their size. */
const isSound = (c: string) => `(
      ${c}spent >= 0 and ${c}held >= 0
      and ${c}unconfirmed between 0 and ${c}spent and ${c}overrun between 0 and ${c}spent
      and ${c}warned >= 0 and ${c}open_holds >= 0 and (${c}held = 0 or ${c}open_holds > 0)
    )`

/** What a hold keeps in a counter. */
const quoted = (hold: string) => `case c.unit when 'tokens' then ${hold}.tokens else ${hold}.money end`

/** When a counter that is used now is forgotten at the earliest; null, never, stays. */
const keptUntil = (until: string) => `case when c.forget_at < ${until} then ${until} else c.forget_at end`

/** A counter as the engine reads it; zeros for one that is not there yet. */
const totals = (key: string) =>
  `json_build_object('key', ${key}, ${["spent", "held", "unconfirmed", "overrun", "warned"]
    .map((name) => `'${name}', case when c.id is null then 0 else c.${name} end`)
    .join(", ")})`

/**
 * Tables, and one function for each step. The functions carry the version in their names: a process of another version
 * finds none of its own.
 *
 * A step takes its locks in one order, so that no two can wait for each other: the id (an advisory lock), the row of its
 * own hold, expired holds that nobody else has locked, counters it has to make, by key, and then all the counters it will
 * change, by number, in one statement.
 *
 * @param s The quoted name of the PostgreSQL schema.
 */
export const schemaV1 = (s: string): string => {
  // Always found by the whole of their index, whatever PostgreSQL believes about their number.
  const counters = `(select * from ${s}.tierwise_counters where ledger = p_ledger and key = any(p_keys))`
  return `
  create table ${s}.tierwise_ledgers (
    name text primary key,
    limits_print text not null,
    limits text not null
  );

  create table ${s}.tierwise_counters (
    id bigint generated always as identity primary key,
    ledger text not null,
    key text not null,
    unit text not null check (unit in ('NanoUsd', 'tokens')),
    spent bigint not null default 0,
    held bigint not null default 0,
    unconfirmed bigint not null default 0,
    overrun bigint not null default 0,
    warned integer not null default 0,
    -- Holds that can still be closed here. While there are any, the counter is not forgotten.
    open_holds bigint not null default 0,
    -- Epoch ms; null: never.
    forget_at bigint,
    unique (ledger, key),
    constraint tierwise_counters_sound check ${isSound("")},
    constraint ${MOST_OF.NanoUsd} check (unit <> 'NanoUsd' or spent + held <= ${MOST}),
    constraint ${MOST_OF.tokens} check (unit <> 'tokens' or spent + held <= ${MOST})
  ) with (fillfactor = 50);
  create index tierwise_counters_to_forget on ${s}.tierwise_counters (ledger, forget_at)
    where forget_at is not null;

  create table ${s}.tierwise_holds (
    ledger text not null,
    id text not null,
    state text not null check (state in ('held', 'unconfirmed', 'closed')),
    -- Epoch ms: when it expires (held), can be closed no more (unconfirmed), is forgotten (closed).
    due bigint not null,
    request text,
    money bigint check (money between 0 and ${MOST}),
    tokens bigint check (tokens between 0 and ${MOST}),
    counters bigint[] not null default '{}',
    primary key (ledger, id),
    constraint tierwise_holds_whole
      check (state = 'closed' or (request is not null and money is not null and tokens is not null))
  );
  create index tierwise_holds_to_expire on ${s}.tierwise_holds (ledger, due) where state <> 'closed';
  create index tierwise_holds_to_forget on ${s}.tierwise_holds (ledger, due) where state = 'closed';

  -- The time of a step that is alone with its id, and waits for no lock longer than it has patience, ms.
  create function ${s}.tierwise_v1_begin(p_ledger text, p_id text, p_now bigint, p_patience text)
  returns bigint language plpgsql as $function$
  declare
    -- Arrays look cheaper to plan for than they are, and small tables cheaper to read.
    settings text := set_config('lock_timeout', p_patience, true)
      || set_config('plan_cache_mode', 'force_generic_plan', true) || set_config('enable_seqscan', 'off', true);
    alone text;
  begin
    if p_id is not null then
      alone := pg_advisory_xact_lock(hashtextextended('tierwise ' || p_ledger || ' ' || p_id, 0));
    end if;
    return coalesce(p_now, floor(extract(epoch from clock_timestamp()) * 1000)::bigint);
  end $function$;

  -- Locks these counters, and with them those of holds that have expired, which are booked at their quote. A broken one
  -- of these is left as it is: its money stays held, and only who comes to its counters is told.
  create function ${s}.tierwise_v1_lock(p_ledger text, p_at bigint, p_counters bigint[])
  returns void language plpgsql as $function$
  declare
    expired text[];
    wanted bigint[] := p_counters;
    locked bigint;
    broken text;
  begin
    select array_agg(one.id) into expired from (
      select h.id from ${s}.tierwise_holds h
      where h.ledger = p_ledger and h.state <> 'closed' and h.due <= p_at
        and not exists (
          select from unnest(h.counters) as own(id) left join ${s}.tierwise_counters c on c.id = own.id
          where (${isSound("c.")} and c.spent + c.held <= ${MOST}) is not true
        )
      order by h.due limit ${SWEEP_AT_MOST} for update of h skip locked
    ) one;
    if expired is not null then
      select array_agg(one.id) into wanted from (
        select unnest(h.counters) as id from ${s}.tierwise_holds h where h.ledger = p_ledger and h.id = any(expired)
        union select unnest(p_counters)
      ) one;
    end if;
    if expired is null and wanted is null then return; end if;

    select count(*), min(c.key) filter (where (${isSound("c.")} and c.spent + c.held <= ${MOST}) is not true)
    into locked, broken
    from (select * from ${s}.tierwise_counters where id = any(wanted) order by id for update) c;
    if broken is not null then
      raise exception 'its counter % holds numbers that cannot be', broken;
    end if;
    if locked < cardinality(wanted) then
      raise exception 'of its counters % some are missing in tierwise_counters', wanted;
    end if;
    if expired is null then return; end if;

    update ${s}.tierwise_counters c set
      held = c.held - due.booked,
      spent = c.spent + due.booked,
      unconfirmed = c.unconfirmed + due.booked,
      open_holds = c.open_holds - due.gone
    from (
      select c.id, count(*) filter (where h.state = 'unconfirmed') as gone,
        coalesce(sum(${quoted("h")}) filter (where h.state = 'held'), 0)::bigint as booked
      from ${s}.tierwise_holds h cross join unnest(h.counters) as own(id)
      join ${s}.tierwise_counters c on c.id = own.id and c.id = any(wanted)
      where h.ledger = p_ledger and h.id = any(expired) group by c.id
    ) due where c.id = due.id;
    delete from ${s}.tierwise_holds where ledger = p_ledger and id = any(expired) and state = 'unconfirmed';
    update ${s}.tierwise_holds set state = 'unconfirmed', due = due + ${LATE_CLOSING_MS}
    where ledger = p_ledger and id = any(expired) and state = 'held';
  end $function$;

  -- The counters of these keys, made where they are missing.
  create function ${s}.tierwise_v1_make(p_ledger text, p_keys text[], p_units text[], p_forget_at bigint[])
  returns bigint[] language plpgsql as $function$
  begin
    insert into ${s}.tierwise_counters (ledger, key, unit, forget_at)
    select p_ledger, want.key, want.unit, want.forget_at
    from unnest(p_keys, p_units, p_forget_at) as want(key, unit, forget_at)
    where not exists (select from ${counters} c where c.key = want.key)
    order by want.key on conflict (ledger, key) do nothing;
    return array(select c.id from ${s}.tierwise_counters c where c.ledger = p_ledger and c.key = any(p_keys));
  end $function$;

  create function ${s}.tierwise_v1_totals(p_ledger text, p_keys text[])
  returns json language plpgsql as $function$
  begin
    return (
      select coalesce(json_agg(${totals("want.key")} order by want.nth), '[]')
      from unnest(p_keys) with ordinality as want(key, nth)
      left join ${counters} c on c.key = want.key
    );
  end $function$;

  -- Drops what nobody will ask for any more.
  create function ${s}.tierwise_v1_forget(p_ledger text, p_at bigint)
  returns void language plpgsql as $function$
  begin
    delete from ${s}.tierwise_holds where ctid = any(array(
      select ctid from ${s}.tierwise_holds where ledger = p_ledger and state = 'closed' and due <= p_at
      order by due limit ${FORGET_AT_MOST} for update skip locked
    ));
    delete from ${s}.tierwise_counters where id = any(array(
      select id from ${s}.tierwise_counters where ledger = p_ledger and forget_at <= p_at and open_holds = 0
      order by forget_at limit ${FORGET_AT_MOST} for update skip locked
    ));
  end $function$;

  -- What the ledger is kept with, if these are other limits; null if they are the ones it has now.
  create function ${s}.tierwise_v1_open(
    p_ledger text, p_patience text, p_print text, p_limits text, p_if_other text
  ) returns text language plpgsql as $function$
  declare
    kept ${s}.tierwise_ledgers;
  begin
    perform set_config('lock_timeout', p_patience, true);
    insert into ${s}.tierwise_ledgers (name, limits_print, limits) values (p_ledger, p_print, p_limits)
    on conflict (name) do nothing;
    select * into kept from ${s}.tierwise_ledgers where name = p_ledger for update;
    if kept.limits_print = p_print then return null; end if;
    if p_if_other <> 'replace' then return json_build_object('kept', kept.limits); end if;
    update ${s}.tierwise_ledgers set limits_print = p_print, limits = p_limits where name = p_ledger;
    return null;
  end $function$;

  create function ${s}.tierwise_v1_reserve(
    p_ledger text, p_id text, p_now bigint, p_patience text, p_print text, p_request text,
    p_money bigint, p_tokens bigint, p_ttl_ms bigint, p_start bigint, p_end bigint,
    p_keys text[], p_units text[], p_forget_at bigint[], p_shares bigint[], p_limits bigint[]
  ) returns text language plpgsql as $function$
  declare
    moment bigint := ${s}.tierwise_v1_begin(p_ledger, p_id, p_now, p_patience);
    known ${s}.tierwise_holds;
    own bigint[];
    looks integer;
    print text;
    is_due boolean;
    refusal json;
  begin
    select * into known from ${s}.tierwise_holds where ledger = p_ledger and id = p_id;
    -- First without a lock: a refusal needs none. Then again, with what is true until the commit.
    for looks in 1..2 loop
      if looks = 2 then
        if cardinality(own) < cardinality(p_keys) then
          own := ${s}.tierwise_v1_make(p_ledger, p_keys, p_units, p_forget_at);
        end if;
        perform ${s}.tierwise_v1_lock(p_ledger, moment, own);
      end if;
      select (select l.limits_print from ${s}.tierwise_ledgers l where l.name = p_ledger),
        exists (select from ${s}.tierwise_holds h
          where h.ledger = p_ledger and h.state <> 'closed' and h.due <= moment),
        coalesce(array_agg(c.id) filter (where c.id is not null), '{}'),
        (array_agg(${totals("want.key")} order by want.nth)
          filter (where want.share > 0 and coalesce(c.spent + c.held, 0) + want.share > want.most))[1]
      into print, is_due, own, refusal
      from unnest(p_keys, p_shares, p_limits) with ordinality as want(key, share, most, nth)
      left join ${counters} c on c.key = want.key;
      if print is null then
        raise exception 'it is missing in tierwise_ledgers';
      end if;
      if print <> p_print then
        return json_build_object('outcome', 'other-limits');
      end if;
      if known.id is not null then
        if known.state = 'closed' or known.request <> p_request then
          return json_build_object('outcome', 'taken');
        end if;
        return json_build_object('outcome', 'granted', 'expiresAt',
          known.due - case known.state when 'unconfirmed' then ${LATE_CLOSING_MS} else 0 end);
      end if;
      if moment < p_start or moment >= p_end then
        return json_build_object('outcome', 'turned', 'now', moment);
      end if;
      -- What has expired is booked first, so that a refusal shows it.
      if refusal is not null and (looks = 2 or not is_due) then
        return json_build_object('outcome', 'refused', 'totals', refusal);
      end if;
    end loop;

    update ${s}.tierwise_counters c set held = c.held + want.share, open_holds = c.open_holds + 1
    from unnest(p_keys, p_shares) as want(key, share) where c.id = any(own) and c.key = want.key;
    insert into ${s}.tierwise_holds (ledger, id, state, due, request, money, tokens, counters)
    values (p_ledger, p_id, 'held', moment + p_ttl_ms, p_request, p_money, p_tokens, own);
    return json_build_object('outcome', 'granted', 'expiresAt', moment + p_ttl_ms);
  end $function$;

  create function ${s}.tierwise_v1_close(
    p_ledger text, p_id text, p_now bigint, p_patience text, p_money bigint, p_tokens bigint
  ) returns text language plpgsql as $function$
  declare
    moment bigint := ${s}.tierwise_v1_begin(p_ledger, p_id, p_now, p_patience);
    own ${s}.tierwise_holds;
    counted json;
    is_known boolean;
  begin
    select * into own from ${s}.tierwise_holds where ledger = p_ledger and id = p_id for update;
    if own.state <> 'closed' and (
      own.due >= 0 and own.money between 0 and ${MOST} and own.tokens between 0 and ${MOST} and own.counters is not null
    ) is not true then
      raise exception 'its hold % holds numbers that cannot be', p_id;
    end if;
    if own.id is null then
      insert into ${s}.tierwise_holds (ledger, id, state, due)
      values (p_ledger, p_id, 'closed', moment + ${CLOSED_ID_MS});
    elsif own.state <> 'closed' then
      update ${s}.tierwise_holds
      set state = 'closed', due = moment + ${CLOSED_ID_MS}, request = null, counters = '{}'
      where ledger = p_ledger and id = p_id;
    end if;
    perform ${s}.tierwise_v1_lock(p_ledger, moment, own.counters);
    is_known := own.state = 'held' or (own.state = 'unconfirmed' and own.due > moment);
    if own.state <> 'closed' then
      with closed as (
        update ${s}.tierwise_counters c set
          open_holds = c.open_holds - 1,
          held = c.held - case own.state when 'held' then now.quoted else 0 end,
          unconfirmed = c.unconfirmed - case when own.state = 'held' or not is_known then 0 else now.quoted end,
          spent = c.spent + case when not is_known then 0 when own.state = 'held' then now.cost
            else now.cost - now.quoted end,
          overrun = c.overrun + case when is_known then greatest(0, now.cost - now.quoted) else 0 end,
          forget_at = ${keptUntil(`moment + ${KEPT_AFTER_USE_MS}`)}
        from (
          select c.id, ${quoted("own")} as quoted, case c.unit when 'tokens' then p_tokens else p_money end as cost
          from ${s}.tierwise_counters c where c.id = any(own.counters)
        ) now where c.id = now.id returning c.*
      ) select coalesce(json_agg(${totals("c.key")}), '[]') into counted from closed c;
    end if;
    if random() < ${FORGET_SHARE} then perform ${s}.tierwise_v1_forget(p_ledger, moment); end if;
    if is_known is not true then return null; end if;
    return json_build_object(
      'late', own.state = 'unconfirmed' or own.due <= moment,
      'money', own.money, 'tokens', own.tokens, 'totals', counted);
  end $function$;

  create function ${s}.tierwise_v1_extend(
    p_ledger text, p_id text, p_now bigint, p_patience text, p_ttl_ms bigint
  ) returns text language plpgsql as $function$
  declare
    moment bigint := ${s}.tierwise_v1_begin(p_ledger, p_id, p_now, p_patience);
  begin
    perform from ${s}.tierwise_holds where ledger = p_ledger and id = p_id for update;
    perform ${s}.tierwise_v1_lock(p_ledger, moment, null);
    update ${s}.tierwise_holds set due = moment + p_ttl_ms
    where ledger = p_ledger and id = p_id and state = 'held' and due > moment;
    return json_build_object('done', found);
  end $function$;

  create function ${s}.tierwise_v1_book(
    p_ledger text, p_id text, p_now bigint, p_patience text, p_start bigint, p_end bigint,
    p_keys text[], p_units text[], p_forget_at bigint[], p_shares bigint[]
  ) returns text language plpgsql as $function$
  declare
    moment bigint := ${s}.tierwise_v1_begin(p_ledger, p_id, p_now, p_patience);
    own bigint[];
  begin
    if moment < p_start or moment >= p_end then
      return json_build_object('outcome', 'turned', 'now', moment);
    end if;
    if not exists (select from ${s}.tierwise_holds where ledger = p_ledger and id = p_id) then
      own := ${s}.tierwise_v1_make(p_ledger, p_keys, p_units, p_forget_at);
      perform ${s}.tierwise_v1_lock(p_ledger, moment, own);
      update ${s}.tierwise_counters c set
        spent = c.spent + want.share, overrun = c.overrun + want.share, forget_at = ${keptUntil("want.forget_at")}
      from unnest(p_keys, p_shares, p_forget_at) as want(key, share, forget_at)
      where c.id = any(own) and c.key = want.key;
      insert into ${s}.tierwise_holds (ledger, id, state, due)
      values (p_ledger, p_id, 'closed', moment + ${BOOKED_ID_MS});
      if random() < ${FORGET_SHARE} then perform ${s}.tierwise_v1_forget(p_ledger, moment); end if;
    end if;
    return json_build_object('outcome', 'booked', 'totals', ${s}.tierwise_v1_totals(p_ledger, p_keys));
  end $function$;

  create function ${s}.tierwise_v1_read(
    p_ledger text, p_now bigint, p_patience text, p_start bigint, p_end bigint, p_keys text[]
  ) returns text language plpgsql as $function$
  declare
    moment bigint := ${s}.tierwise_v1_begin(p_ledger, null, p_now, p_patience);
  begin
    if moment < p_start or moment >= p_end then
      return json_build_object('outcome', 'turned', 'now', moment);
    end if;
    perform ${s}.tierwise_v1_lock(p_ledger, moment, null);
    return json_build_object('outcome', 'read', 'totals', ${s}.tierwise_v1_totals(p_ledger, p_keys));
  end $function$;

  create function ${s}.tierwise_v1_claim(p_ledger text, p_patience text, p_key text, p_level integer)
  returns text language plpgsql as $function$
  begin
    perform set_config('lock_timeout', p_patience, true);
    update ${s}.tierwise_counters set warned = p_level
    where ledger = p_ledger and key = p_key and warned = p_level - 1;
    return json_build_object('done', found);
  end $function$;
`
}
