"""Words that say nothing about a place in the code, in the languages that tasks are most often written in."""

from __future__ import annotations

_ENGLISH = """
a able about above across actually after again against all almost along already also although always am among an and
another any anybody anyone anything anyway are around as ask at away back based be became because become been before
begin behind being below besides best better between both but by can cannot certain come could did different do does
don done down due during each either else enough etc even ever every everything exactly few find first for from
further gave get getting give given go goes going good got great had happen happens has have having he hello help
hence her here hers hey hi him his hope how however i id if in instead into is isn it its itself just keep kind know
last least less let lets like little ll look looks lot made make makes making many may maybe me mean means might mine
more most much must my need needs never new next nice no none nor not nothing now of off often oh ok okay on once one
only onto or other others our out over own part perhaps please possible put quite rather re really right said same say
says second see seem seems seen shall she should show shows since so some somebody someone something sometimes
somewhere soon still such sure take takes tell than thank thanks that the their them then there therefore these they
thing things think this those though through thus till time to today together too toward try trying twice two under
unless until up upon us use used uses using usually ve very via want wants was way we well were what whatever when
where whether which while who whole whom whose why will with within without won wonder word work works worked working
would wrong yes yet you your yours yourself
"""
_GERMAN = """
aber alle allem allen aller alles als also am an andere anderen auch auf aus bei beim bin bis bist bitte da dabei
dafür dann das dass dazu dein deine dem den denn der des die dies diese diesem diesen dieser dieses dir doch dort du
durch ein eine einem einen einer eines einfach er es etwas euch für geben gegen geht gibt haben hallo hast hat hatte
hier ich ihm ihn ihr ihre im immer in ins ist ja jede jeden jeder jedes jetzt kann kannst kein keine keinen können
könntest machen mal man mehr mein meine mich mir mit möchte muss müssen nach nicht nichts noch nun nur ob oder ohne
schon sehr sein seine sich sie sind so soll sollen sollte sollten statt um und uns unter vom von vor war warum was
weil wenn wer werden wie wieder will wir wird wo wurde würde zu zum zur zwischen danke
"""
_FRENCH = """
afin ai ainsi alors au aucun aussi autre aux avec avoir bien bonjour car ce cela ces cet cette chaque comme comment
dans de depuis des deux devrait dit doit donc du elle elles en encore entre es est et être eux fait faire faut il ils
je jusque la là le les leur lors lui ma mais me même merci mes moi mon ne ni non nos notre nous on ont ou où par parce
pas peut peux plus pour pourquoi pouvez qu quand que quel quelle qui sa sans se selon ses si sont sous sur ta te tes
toi ton tous tout toute très trop tu un une vers voici vos votre vous veux vais
"""
_SPANISH = """
al algo algún alguna ante antes aquí así aunque cada como cómo con cual cuál cuando cuándo de debe debería del desde
donde dónde dos el él ella en entre era es esa ese eso esta está estas este esto estos fue gracias ha hace hacer hasta
hay hola la las le lo los más me mi mis mucho muy nada ni no nos nosotros nuestro otra otro para pero poco por porque
puede puedes pues qué que quién quiero se sea según ser si sí sin sobre son su sus también tan tanto te tener tengo ti
tiene todo todos tu tus un una uno unos usted ya yo
"""
_ITALIAN_PORTUGUESE = """
alla allo anche ancora até che chi ci com come cosa da dal dalla dei del della delle depois di dove e ele ela em essa
esse está fare foi gli grazie il isso isto já lo lhe mais mas meu mio minha molto na nas nel nella nem no nos não o
olá os ou para pela pelo per perché piú più poi por porque posso preciso puoi quale quando quanto quello questa questo
se sem será sono sua suo são tem também um uma você voglio
"""
_DUTCH = """
aan als bij dat de deze die dit door een en er geen hebben heeft het hoe ik in is je kan maar met mijn moet naar niet
nog of om ook op te tot uit van voor waar waarom wat we wel worden wordt zijn zo zou
"""
_RUSSIAN = """
а без бы был была было быть в вам вас весь во вот все всё вы где да для до его ее её если есть еще ещё же за здесь и
из или им их к как какой когда кто ли либо мне мной может можно мой мы на надо нам нас не него нет ни но ну о об он
она они от по под пожалуйста почему при привет с сделать со спасибо так также там то только тоже ты у уже что чтобы
это этот этого я нужно
"""
_CHINESE_JAPANESE_KOREAN = """
请 問題 问题 修复 如何 怎么 什么 一个 需要 可以 使用 谢谢 你好 帮我
실행 추가 수정 문제 안녕하세요 감사합니다 어떻게 무엇
해주세요 있는 싶은데 直 追加 修正 方法
"""

_OF_TASKS = """
add added adds agent allow allowed answer app application argument arguments behaviour behavior bool broken bug build
call called calls change changed changes check class clean code command comment config correct create current data
debug default delete describe doc docs document documentation end ensure error errors example exception expect
expected explain fail failed fails failing failure feature field file files fix fixed folder function functions handle
implement implementation improve input int introduce invalid issue item kept large learn line lines list log long main
message method missing mode module move name names none null number object option optional output page parameter
problem program project question read refactor remove rename replace request result return returned returns rewrite
run running runs send sent set setting short should simple slow small start step stop str string support system task
test tests text todo tool tools type types understand unit update user users value values variable version write
written writes wrote true false self import datei fehler funktion klasse projekt ändern hinzufügen schreiben fichier
erreur fonction classe projet ajouter archivo función clase proyecto agregar añadir файл функция ошибка класс
"""

_OF_FILES = """
astro bash bat bib c cc cfg clj cljs cmake conf cpp cs css csv cu cxx dart diff dockerfile ejs el elm env erl ex exs
f90 fish fs fsx gd gleam go gql gradle graphql groovy h hbs hcl hh hpp hs htm html hxx ini ipynb java jinja jl js json
json5 jsonc jsonl jsx kt kts less lisp lock log lua m mak md mdx mjs mk ml mli mm mod nim nix org patch php pl pm po
prisma properties proto ps1 pug py pyi pyx r rake rb rkt rs rst s sass sbt scala scm scss sh sol sql sum sv svelte svg
swift tcl tex tf thrift toml ts tsv tsx txt v vb vert vhd vim vue wat wgsl xml xsd yaml yml zig zsh
"""

_STOP = (_ENGLISH, _GERMAN, _FRENCH, _SPANISH, _ITALIAN_PORTUGUESE, _DUTCH, _RUSSIAN, _CHINESE_JAPANESE_KOREAN)

STOP_WORDS = frozenset(" ".join(_STOP).split())
TASK_WORDS = frozenset(_OF_TASKS.split())
"""What stands in a task about any code: worth little, but not nothing."""
EXTENSIONS = frozenset(_OF_FILES.split())
"""What makes a dotted word the name of a file."""
