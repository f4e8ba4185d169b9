import type { Random } from "../random.ts"

export const CITIES: readonly string[] = (
  "Oslo Bergen Lisbon Porto Vienna Graz Turin Ghent Leiden Tartu Malmo Aarhus Zagreb Basel Lyon Nantes Krakow Gdansk " +
  "Valencia Seville Dublin Cork Leeds York Kyoto Nagoya Lima Quito Nairobi Accra"
).split(" ")

export const GOODS: readonly string[] = [
  "desk lamp",
  "oak chair",
  "wool blanket",
  "garden hose",
  "paint roller",
  "bread knife",
  "wall clock",
  "tool box",
  "floor mat",
  "coat rack",
  "tea kettle",
  "book shelf",
]

const FIRST_NAMES = (
  "Ada Bruno Clara Dario Edith Felix Greta Hugo Irma Jonas Karin Leo Mara Nils Olga Pavel Rosa Sven Tilda Ugo Vera " +
  "Walter Yara Zeno"
).split(" ")
const LAST_NAMES = (
  "Abel Berg Costa Dahl Eklund Ferri Gallo Holm Ivers Jansen Keller Lund Moretti Novak Olsen Pires Quist Rossi Sato " +
  "Toth Urban Vogel Weber Zeman"
).split(" ")

/** First and last names, no two people sharing a first name (at most 24). */
export function people(random: Random, count: number): string[] {
  return random.sample(FIRST_NAMES, count).map((first) => `${first} ${random.pick(LAST_NAMES)}`)
}

export function firstNames(random: Random, count: number): string[] {
  return random.sample(FIRST_NAMES, count)
}

export function isoDate(random: Random): string {
  return `2026-${two(random.int(1, 12))}-${two(random.int(1, 28))}`
}

export function clockTime(random: Random): string {
  return `${random.int(7, 19)}:${random.pick(["00", "15", "30", "45"])}`
}

/** `"a, b and c"`. */
export function listed(items: readonly string[]): string {
  return items.length < 2 ? items.join("") : `${items.slice(0, -1).join(", ")} and ${items.at(-1)}`
}

export function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}

function two(value: number): string {
  return String(value).padStart(2, "0")
}
