/**
 * The commonest small words of seven languages, and the letters beyond a–z that each one writes. A detector library
 * would know more languages, but costs 15 µs to 250 µs a hundred characters and up to 160 MB (tinyld, eld: measured);
 * this costs 2 µs. Greetings are among the words because a greeting is often all there is.
 */
export const FUNCTION_WORDS: Readonly<Record<string, { readonly words: string; readonly letters: string }>> =
  {
    en: {
      words:
        "a an the of and to in is are was were be been it its that this these those for on with as at by from or not you " +
        "we they he she our your their my me i do does did have has had can could would should will which what who how " +
        "why when where if then than there between about into please give write explain tell make find show hello hi " +
        "hey thanks what's it's don't i'm",
      letters: "",
    },
    de: {
      words:
        "der die das und ist sind war ein eine einen einem einer nicht mit für auf von zu im den dem des sich auch wie " +
        "was wer wo warum wann welche welcher welches ich du wir ihr sie er es mein unser unsere bitte kann können oder " +
        "aber wenn dass als nach bei aus über zum zur wird werden haben hat schreibe erkläre hallo danke guten",
      letters: "äöüß",
    },
    fr: {
      words:
        "le la les on un une des du de et est sont dans pour avec sur par pas ne que qui quoi comment pourquoi quand quel " +
        "quelle quels quelles je tu il elle nous vous ils elles mon notre nos votre ce cette ces au aux ou mais si plus " +
        "être avoir peut écris explique bonjour salut merci c'est qu'est-ce d'un d'une j'ai n'est s'il l'on",
      letters: "éèêëàâîïôûùüÿçœæ",
    },
    es: {
      words:
        "el la los las un una unos de del y es son en para con por no que qué quién cómo cuándo dónde cuál cuáles yo tú " +
        "él ella nosotros ustedes mi nuestro nuestra su sus este esta estos lo se más pero si como al ser está están " +
        "puede escribe explica hola gracias buenos",
      letters: "áéíóúüñ¿¡",
    },
    pt: {
      words:
        "o a os as um uma de do da dos das e é são em no na nos nas para com por não que quem como quando onde qual " +
        "quais eu você ele ela nós vocês meu nosso nossa seu sua este esta isso mais mas se ao à ser está pode escreva " +
        "explique olá oi obrigado bom pelo pela",
      letters: "áâãàçéêíóôõúü",
    },
    it: {
      words:
        "il lo la i gli le un uno una di del della dei delle e è sono in nel nella per con su da non che chi come quando " +
        "dove quale quali cosa perché io tu lui lei noi voi mio nostro nostra questo questa più ma se al alla essere " +
        "può scrivi spiega ciao grazie buongiorno qual cos'è l'ho c'è",
      letters: "àèéìíîòóùú",
    },
    nl: {
      words:
        "de het een en is zijn was van voor op met niet dat die dit wat wie waar hoe waarom wanneer welke ik je jij we " +
        "wij hij zij ons onze mijn uw aan bij uit naar over om te er ook of maar als dan kan kunnen wordt worden heeft " +
        "schrijf hallo dank alstublieft leg",
      letters: "éëïóöüèáí",
    },
  }
