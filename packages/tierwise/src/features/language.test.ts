import { describe, expect, it } from "vitest"
import { languageOf } from "./language.ts"

const SENTENCES: Readonly<Record<string, readonly string[]>> = {
  en: [
    "Hello",
    "What is the capital of France?",
    "Write a haiku about autumn",
    "Fix the bug in this function",
  ],
  de: ["Was ist die Hauptstadt von Frankreich?", "Schreibe ein Gedicht über den Herbst"],
  fr: ["Bonjour", "Quelle est la capitale de la France ?", "Qu’est-ce que la photosynthèse ?"],
  es: ["Hola", "¿Cuál es la capital de Francia?", "Escribe un poema sobre el otoño"],
  pt: ["Olá", "Qual é a capital da França?", "Escreva um poema sobre o outono"],
  it: ["Ciao", "Qual è la capitale della Francia?", "Scrivi una poesia sull'autunno"],
  nl: ["Wat is de hoofdstad van Frankrijk?", "Schrijf een gedicht over de herfst"],
  ja: ["フランスの首都はどこですか？", "東京都の人口を教えて"],
  zh: ["法国的首都是哪里？", "用Python写一个快速排序算法"],
  ko: ["프랑스의 수도는 어디입니까?"],
  el: ["Ποια είναι η πρωτεύουσα της Γαλλίας;"],
  he: ["מהי בירת צרפת?"],
  th: ["เมืองหลวงของฝรั่งเศสคืออะไร"],
  "und-Cyrl": ["Какая столица Франции?"],
  "und-Arab": ["ما هي عاصمة فرنسا؟"],
  "und-Deva": ["फ्रांस की राजधानी क्या है?"],
  "und-Latn": [
    "Co to jest i do kogo należy ta łódź?",
    "Määrä?",
    "Jaka jest stolica Francji?",
    "Mikä on Ranskan pääkaupunki?",
    "Lütfen iki dağıtım stratejisini karşılaştırın.",
    "Thủ đô của Pháp là gì?",
    "Hvad er hovedstaden i Frankrig?",
  ],
  und: ["", "1234 !!", "🎉🎉", "\ud83c"],
}

describe("languageOf", () => {
  it.each(Object.entries(SENTENCES))("tells %s", (language, sentences) => {
    expect(sentences.map(languageOf)).toEqual(sentences.map(() => language))
  })

  it("reads the beginning of a long text only", () => {
    expect(
      languageOf(`${"What is the capital of France? ".repeat(20)}${"法国的首都是哪里".repeat(900)}`),
    ).toBe("en")
  })
})
