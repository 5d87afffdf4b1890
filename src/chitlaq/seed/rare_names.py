"""Last names that few members have: a beginning and an ending, as such names are made in each region.

Without them, a million members would share some 700 words, and whoever searches for one would find thousands.
"""

from __future__ import annotations

from typing import NamedTuple

SHARE = 0.35
"""Of members."""


class Parts(NamedTuple):
    beginnings: str
    endings: str


# In the order of `names.PEOPLES`.
LAST_NAMES = (
    Parts(
        "Ash Black Brad Brook Cald Car Chester Dar Ed Fair Fen Gar Hal Hart Hazel Kings Lang Mar Nor Oak"
        " Pen Rad Raven Red Sel Stan Thorn Wal West Whit",
        "bridge bury combe cott croft dale field ford gate ham hurst ley low man mere more port ridge shaw"
        " stead ston ton well wick wood worth",
    ),
    Parts(
        "Acker Alten Berg Birken Brunn Buchen Dorn Eben Eichen Falken Fels Grün Hagen Heiden Hohen Kalten"
        " Kirch Kron Lauten Linden Mühl Neu Ober Roten Sand Schön Stein Sternen Wald Winter",
        "acher au bach baum berger brink brunner burger dörfer egger feld hausen häuser heimer hofer horst"
        " huber kamp lechner leitner maier mann müller reuter rieder schläger stätter thaler weiler",
    ),
    Parts(
        "Agui Albar Alcán Arria Bal Barr Bena Caba Calder Carran Casa Cerv Corti Esco Espi Fuen Gala Guada"
        " Herre Izqui Lande Mira Monta Nava Ola Pala Quin Sala Torre Villa",
        "bal beja cete cio dero dez ga guera jal las llán lón merón nar nés nilla quera razo rero reta rosa"
        " rrena sco seda tegui tilla veda verde vides zábal",
    ),
    Parts(
        "Abran Aguia Alen Amo Arru Bar Bran Cabra Cama Castel Cor Esta Faria Figuei Gou Gui Les La Mada Man"
        " Matto Mesqui Neve Pache Pinhei Quei Sama Tava Valen Vascon",
        "bal ceiro celos cha co da dal deira do gão lha lhães lho lo meda nço nha no ral rães rão raz redo"
        " res rinha rios ro sa ta vela",
    ),
    Parts(
        "Arnau Beau Belle Bon Bour Brun Chante Char Clair Cour De Dau Des Du Fau Fleur Gar Gui Haute Lan"
        " Mar Mont Mou Per Pont Ro Sau Tur Val Ville",
        "bert bois bonnet cier court deau dier don gne gnon lard lier lin lot main mont net nier pierre"
        " quet rand reuil rier rin sard seau sier tel vais ville",
    ),
    Parts(
        "Agni Amrit Bala Bhar Chandra Chatur Deva Dhan Gopal Hari Indra Jaga Jaya Kala Kesha Maha Mani Nara"
        " Padma Para Raja Rama Sata Shiva Soma Sura Tri Uday Vasu Vish",
        "bhushan dev dhar ditya gopal jit karan kar kumar lal malai man math mohan murthy nandan nath pal"
        " pathi prasad raj raman ratnam san sekhar swamy tharan vardhan vedi walla",
    ),
    Parts(
        "Bai Cai Cheng Cui Deng Ding Dong Du Fan Fang Feng Fu Gao Ge Gong Han Hong Hou Jia Jiang Jin Kong"
        " Lei Lu Mao Meng Pan Peng Qian Qin",
        "an ai bei chuan dan en fei gang hai hua jie jing kai lan lei ling min ning ping rong rui shan shu"
        " tao wen xia xiang yi yuan zhi",
    ),
    Parts(
        "Aka Ao Asa Fuji Fuku Furu Haya Hira Hoso Ichi Iwa Kawa Kita Kuro Maru Matsu Miya Mizu Naga Naka"
        " Nishi Oka Saka Shima Shira Taka Take Tomi Yoko Yone",
        "bayashi be da do gami gawa hara hashi hata hira ki kubo kura machi mine moto mura nishi no nuki"
        " oka saki sawa shima shita tani uchi ura yama zuka",
    ),
    Parts(
        "Ban Bae Bong Byun Cha Chae Cheon Chu Do Eun Gil Gong Gu Gwak Ha Ham Heo Hyun Im In Ji Jin Ma Maeng"
        " Min Mo Moon Myung Na Nam",
        "a bin byeol chan dam eul ga geon gi gyu han hee ho hwi in jae jin ju kyung mi min na rae ram rin"
        " seok su woo yeon young",
    ),
    Parts(
        "Abd Abu Al Ata Badr Bash Daw Fakh Far Ghaz Had Ham Has Ibr Jab Kar Khur Lut Mah Masr Muf Nab Qad"
        " Ras Sab Shar Taw Was Yaq Zah",
        "adi afi ahi ali allah ami ani aoui ari arni ash asri at awi azi eddin eem eh eri ib idi if ili imi"
        " iri ish mani our oud rani uni",
    ),
    Parts(
        "Abi Ade Afo Aje Aki Ala Ani Ara Ayo Baba Chi Chuk Dada Egbe Eke Eme Fola Iro Iwu Kola Nna Nwa Obia"
        " Odu Ogbo Ola Olu Omo Oye Uzo",
        "bamidele biyi bunmi chukwu dare dayo debayo dele dimma duka feyi funmi gboye goke joke kanbi kunle"
        " lade laja lola luwa mide nike pelumi rinde sanya sola tayo wale yemi",
    ),
    Parts(
        "Ada Bar Che Chepk Gat Gich Ir Kab Kam Kar Kib Kip Kos Lag Mak Mbu Muk Mur Mut Nder Ngen Njo Nya"
        " Och Oki Omo Rot Ruto Tan Wam",
        "achi agat ande anga angi ari atha echi eka elimo emboi eny erem ero iku imo ingi iri iti itu oech"
        " ogo olo ombe ong ora oro ugu uri wara",
    ),
    Parts(
        "Adam Bąk Biel Bor Brzez Chmiel Czar Dęb Dob Dro Gaj Głow Górn Jaw Jezior Kal Kaw Klim Kozł Lis Łuk"
        " Maj Malin Olsz Ostr Pias Rut Sok Wil Zaj",
        "acki aczek alski anek aszek czak czuk czyk ecki eńko erski ewicz icki ik ikowski iński ka kiewicz"
        " nicki niak nik ocha orski ośny owiak owiec owski ski ucki yński",
    ),
    Parts(
        "Ak Al Alp Ay Bay Boz Büyük Candar Çak Çam Dal Demir Er Gök Gül Güven Hacı Işık Kalay Kara Kılınç"
        " Koca Kuru Okta Özgür Sarı Taş Tun Uzun Yüce",
        "alan ay bay baş bulut can cı çalı dağ demirci dur er gil gün güç han kan kaya kol kurt lı man men"
        " oğlu öz pınar soy taş türk yürek",
    ),
    Parts(
        "Au Bach Bang Binh Can Chau Chu Chuong Cung Dam Dau Doan Gia Giang Ha Huynh Khuat Kieu Ky La Luong"
        " Luu Mac Nghiem Nhan Ninh Phung Quach Ta Tang",
        "an bich chi cuong dao diep dung giap han hoa kien lan lien loan luc my nga nhi phuc sang son tam"
        " tan thanh thu tien tin trung van xuan",
    ),
    Parts(
        "Alm Ax Berg Björk Brand Dal Ek En Fager Fjell Gran Hag Hav Hed Hjort Kjær Kvist Lille Löv Nord Ny"
        " Rosen Rønne Sand Sjö Skog Sol Stål Sønder Vest",
        "back bakken berg blad blom borg by bæk dahl fors gaard gren gård hage holm hult kvist land lid"
        " lund man mark nes qvist rud stad ström vall vik ås",
    ),
    Parts(
        "Alber Anto Barbi Bene Bona Calo Campa Cara Casti Cava Chri Dela Evan Fior Gabri Gian Kara Kon Lam"
        " Maca Mala Monte Papa Pelle Sala Santo Stra Tala Vale Zam",
        "bella betti cci dakis dino doro fiore gato gello glione goulos lakis lini lli manti monti nardi"
        " nescu nidis niti poulos relli rini roni tini topo tti volpe zzani zzo",
    ),
)
