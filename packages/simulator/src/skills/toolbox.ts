import type { JsonObject, ToolDefinition } from "../protocol.ts"
import type { Random } from "../random.ts"
import { CITIES, clockTime, isoDate } from "./vocabulary.ts"

type Arguments = Readonly<Record<string, string | number>>

/** A tool that synthetic tasks can offer, with a request that needs it. */
export interface Tool {
  readonly definition: ToolDefinition
  readonly draw: (random: Random) => Arguments
  readonly asks: readonly ((given: Arguments) => string)[]
}

const STRING: JsonObject = { type: "string" }
const INTEGER: JsonObject = { type: "integer" }
const NUMBER: JsonObject = { type: "number" }
const DATE: JsonObject = { type: "string", description: "ISO date" }
const CITY: JsonObject = { type: "string", description: "City name" }

function define(name: string, description: string, properties: JsonObject): ToolDefinition {
  const parameters = {
    type: "object",
    properties,
    required: Object.keys(properties),
    additionalProperties: false,
  }
  return { type: "function", function: { name, description, parameters } }
}

/** Groups of look-alikes on purpose: to tell tools apart is the task. */
export const TOOLBOX: readonly Tool[] = [
  {
    definition: define("get_weather", "Current weather in a city.", {
      city: CITY,
      unit: { type: "string", enum: ["celsius", "fahrenheit"] },
    }),
    draw: (r) => ({ city: r.pick(CITIES), unit: r.pick(["celsius", "fahrenheit"]) }),
    asks: [
      (g) => `What is the current weather in ${g["city"]} in ${g["unit"]}?`,
      (g) => `Tell me the weather in ${g["city"]}, in ${g["unit"]} please.`,
    ],
  },
  {
    definition: define("get_forecast", "Weather forecast of a city for the coming days.", {
      city: CITY,
      days: INTEGER,
    }),
    draw: (r) => ({ city: r.pick(CITIES), days: r.int(2, 10) }),
    asks: [
      (g) => `Show me the weather forecast for ${g["city"]} for ${g["days"]} days.`,
      (g) => `What is the forecast in ${g["city"]} for the coming ${g["days"]} days?`,
    ],
  },
  {
    definition: define("get_air_quality", "Air quality index of a city.", { city: CITY }),
    draw: (r) => ({ city: r.pick(CITIES) }),
    asks: [(g) => `How is the air quality in ${g["city"]}?`],
  },
  {
    definition: define("get_sunrise", "Time of sunrise in a city on a date.", { city: CITY, date: DATE }),
    draw: (r) => ({ city: r.pick(CITIES), date: isoDate(r) }),
    asks: [(g) => `When is sunrise in ${g["city"]} on ${g["date"]}?`],
  },
  {
    definition: define("search_flights", "Search flights between two cities.", {
      origin: CITY,
      destination: CITY,
      date: DATE,
    }),
    draw: journey,
    asks: [
      (g) => `Find flights from ${g["origin"]} to ${g["destination"]} on ${g["date"]}.`,
      (g) => `Which flights leave from ${g["origin"]} to ${g["destination"]} on ${g["date"]}?`,
    ],
  },
  {
    definition: define("search_trains", "Search trains between two cities.", {
      origin: CITY,
      destination: CITY,
      date: DATE,
    }),
    draw: journey,
    asks: [(g) => `Look for trains from ${g["origin"]} to ${g["destination"]} on ${g["date"]}.`],
  },
  {
    definition: define("search_hotels", "Search hotels in a city.", {
      city: CITY,
      date: DATE,
      nights: INTEGER,
    }),
    draw: (r) => ({ city: r.pick(CITIES), date: isoDate(r), nights: r.int(2, 9) }),
    asks: [(g) => `Search hotels in ${g["city"]} starting ${g["date"]} for ${g["nights"]} nights.`],
  },
  {
    definition: define("get_flight_status", "Status of one flight.", { flight_number: STRING }),
    draw: (r) => ({ flight_number: `${r.pick(["SK", "LH", "TP"])}-${r.int(100, 999)}` }),
    asks: [(g) => `What is the status of flight ${g["flight_number"]}?`],
  },
  {
    definition: define("convert_currency", "Convert an amount of money to another currency.", {
      amount: NUMBER,
      from: STRING,
      to: STRING,
    }),
    draw: (r) => ({ amount: r.int(20, 900), ...pair(r, "from", "to") }),
    asks: [(g) => `Convert ${g["amount"]} ${g["from"]} to ${g["to"]}.`],
  },
  {
    definition: define("get_exchange_rate", "Exchange rate between two currencies.", {
      base: STRING,
      quote: STRING,
    }),
    draw: (r) => pair(r, "base", "quote"),
    asks: [(g) => `What is the exchange rate from ${g["base"]} to ${g["quote"]}?`],
  },
  {
    definition: define("get_stock_price", "Latest stock price.", { symbol: STRING }),
    draw: (r) => ({ symbol: r.pick(["ACME", "NORD", "HELIO", "BRIX"]) }),
    asks: [(g) => `What is the stock price of ${g["symbol"]}?`],
  },
  {
    definition: define("get_order", "Show an order.", { order_id: STRING }),
    draw: (r) => ({ order_id: `ORD-${r.int(1000, 9999)}` }),
    asks: [(g) => `Show me order ${g["order_id"]}.`],
  },
  {
    definition: define("cancel_order", "Cancel an order.", { order_id: STRING }),
    draw: (r) => ({ order_id: `ORD-${r.int(1000, 9999)}` }),
    asks: [(g) => `Please cancel order ${g["order_id"]}.`],
  },
  {
    definition: define("refund_order", "Refund a part of what was paid for an order.", {
      order_id: STRING,
      amount: NUMBER,
    }),
    draw: (r) => ({ order_id: `ORD-${r.int(1000, 9999)}`, amount: r.int(5, 200) }),
    asks: [(g) => `Refund ${g["amount"]} EUR for order ${g["order_id"]}.`],
  },
  {
    definition: define("track_shipment", "Where a shipment is now.", { shipment_id: STRING }),
    draw: (r) => ({ shipment_id: `SHP-${r.int(100, 999)}` }),
    asks: [(g) => `Track shipment ${g["shipment_id"]}.`, (g) => `Where is shipment ${g["shipment_id"]}?`],
  },
  {
    definition: define("create_event", "Create a calendar event.", {
      title: STRING,
      date: DATE,
      time: STRING,
    }),
    draw: (r) => ({
      title: r.pick(["Team lunch", "Budget review", "Piano lesson"]),
      date: isoDate(r),
      time: clockTime(r),
    }),
    asks: [(g) => `Create an event "${g["title"]}" on ${g["date"]} at ${g["time"]}.`],
  },
  {
    definition: define("list_events", "List the calendar events of a day.", { date: DATE }),
    draw: (r) => ({ date: isoDate(r) }),
    asks: [(g) => `List my calendar events of ${g["date"]}.`],
  },
  {
    definition: define("delete_event", "Delete a calendar event.", { event_id: STRING }),
    draw: (r) => ({ event_id: `EVT-${r.int(10, 999)}` }),
    asks: [(g) => `Delete event ${g["event_id"]}.`],
  },
  {
    definition: define("send_email", "Send an email.", {
      to: { type: "string", format: "email" },
      subject: STRING,
    }),
    draw: (r) => ({
      to: `${r.pick(["ada", "hugo", "vera"])}@example.com`,
      subject: r.pick(["Minutes", "Draft two"]),
    }),
    asks: [(g) => `Send an email to ${g["to"]} with the subject "${g["subject"]}".`],
  },
  {
    definition: define("search_emails", "Search the mailbox.", { query: STRING }),
    draw: (r) => ({ query: r.pick(["march invoice", "travel plan", "door code"]) }),
    asks: [(g) => `Search my emails for "${g["query"]}".`],
  },
  {
    definition: define("translate_text", "Translate a text.", { text: STRING, language: STRING }),
    draw: (r) => ({
      text: r.pick(["good morning", "the door is open"]),
      language: r.pick(["Norwegian", "Italian", "Polish"]),
    }),
    asks: [(g) => `Translate "${g["text"]}" into ${g["language"]}.`],
  },
  {
    definition: define("get_news", "Latest news about a topic.", { topic: STRING }),
    draw: (r) => ({ topic: r.pick(["ferry traffic", "wheat prices", "chess finals"]) }),
    asks: [(g) => `What is the latest news about "${g["topic"]}"?`],
  },
  {
    definition: define("set_reminder", "Set a reminder.", { text: STRING, date: DATE }),
    draw: (r) => ({ text: r.pick(["water the plants", "renew the passport"]), date: isoDate(r) }),
    asks: [(g) => `Set a reminder "${g["text"]}" for ${g["date"]}.`],
  },
  {
    definition: define("get_population", "Population of a city.", { city: CITY }),
    draw: (r) => ({ city: r.pick(CITIES) }),
    asks: [(g) => `What is the population of ${g["city"]}?`],
  },
]

function journey(random: Random): Arguments {
  const [origin = "", destination = ""] = random.sample(CITIES, 2)
  return { origin, destination, date: isoDate(random) }
}

function pair(random: Random, first: string, second: string): Arguments {
  const [a = "", b = ""] = random.sample(["USD", "EUR", "GBP", "SEK", "JPY"], 2)
  return { [first]: a, [second]: b }
}
